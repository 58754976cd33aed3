"""Read the header of a GGUF file: what it says about a model, and where its tensors are.

The format is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The reader of the package ``gguf`` is not used,
because it trusts every length in a file: with a wrong one it runs without end. Here, nothing outside the file is read.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import InvalidModelError, UnsupportedModelError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_HEADER_BYTES = 256 << 20  # The largest that we know has 16 MB, for 262,144 tokens and as many merges.
_MAX_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "?",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}


@dataclass(frozen=True)
class TensorType:
    """How a tensor's numbers are stored: in blocks of ``numbers`` numbers, each of ``bytes`` bytes."""

    name: str
    numbers: int
    bytes: int


_TYPES = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    30: TensorType("BF16", 1, 2),
}
BLOCK_TYPES = {kind.name: kind for kind in _TYPES.values() if kind.numbers > 1}
"""The types whose numbers share a scale, by name."""


@dataclass(frozen=True)
class GgufTensor:
    """The place of a tensor in a file.

    Attributes:
        kind: the name of its type, such as "Q8_0".
        shape: its shape, with the last axis contiguous, as in NumPy.
        start: the place of its first byte.
    """

    kind: str
    shape: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class Header:
    """The header of a GGUF file.

    Attributes:
        where: the name of the file, for messages.
        metadata: what the file says, by key. Arrays are lists.
        tensors: the tensors, by name.
    """

    where: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, GgufTensor]

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """A value of the metadata that must be of this Python type; ``default`` if there is none.

        Raises:
            InvalidModelError: the value has another type; or there is none, and no default.
        """
        value = self.metadata.get(key, default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            said = "there is none" if value is None else f"it is of type {type(value).__name__}"
            raise InvalidModelError(f"{self.where}: the metadata must have {key!r} as {kind.__name__}, but {said}.")
        return value


def is_gguf(path: Path) -> bool:
    """True if a file starts as GGUF files do. Ollama's have names without ``.gguf``."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_header(path: Path, where: str) -> Header:
    """Read and check the header of a GGUF file.

    Args:
        path: the file.
        where: its name, for messages.

    Raises:
        InvalidModelError: the file is damaged or truncated.
        UnsupportedModelError: the file has another version, is one of several parts, or holds a tensor of a type that
            Pellucid does not read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(data, where)
    except (OSError, ValueError) as error:  # An empty file cannot be mapped. What is not UTF-8 is a ValueError, too.
        raise InvalidModelError(
            f"{where} is not a sound GGUF file ({error}). It may be truncated: get the file again."
        ) from error


class _Cursor:
    """A place in the header that moves on with what is read. It never reads past the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._end = min(len(data), _MAX_HEADER_BYTES)
        self.place = 0

    def bytes(self, count: int) -> bytes:
        if count > self._end - self.place:
            raise ValueError(f"at byte {self.place:,} it claims {count:,} more bytes, which the header does not have")
        start, self.place = self.place, self.place + count
        return self._data[start : self.place]

    def whole(self, size: int) -> int:
        """A whole number of 4 or 8 bytes."""
        return int.from_bytes(self.bytes(size), "little")

    def string(self) -> str:
        return self.bytes(self.whole(8)).decode()

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            kind, count = self.whole(4), self.whole(8)
            if kind == _STRING:
                return [self.string() for _ in range(count)]  # Each moves on by 8 bytes or more, so this ends.
            return self.numbers(kind, count)
        return self.numbers(kind, 1)[0]

    def numbers(self, kind: int, count: int) -> list[Any]:
        if kind not in _SCALARS:
            raise ValueError(f"at byte {self.place:,} it has a value of the unknown type {kind}")
        dtype = np.dtype(_SCALARS[kind])
        values: list[Any] = np.frombuffer(self.bytes(count * dtype.itemsize), dtype).tolist()
        return values


def _read(data: mmap.mmap, where: str) -> Header:
    cursor = _Cursor(data)
    if cursor.bytes(len(MAGIC)) != MAGIC:
        raise ValueError("it does not start with GGUF")
    if (version := cursor.whole(4)) not in _VERSIONS:
        raise UnsupportedModelError(f"{where}: version {version} of GGUF is not supported, only 2 and 3.")
    tensor_count, metadata_count = cursor.whole(8), cursor.whole(8)
    metadata: dict[str, Any] = {}
    for _ in range(metadata_count):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.whole(4))
    if metadata.get("split.count", 1) not in (0, 1):
        raise UnsupportedModelError(f"{where} is one of several parts. Join them with llama-gguf-split --merge.")
    listed = [_read_tensor(cursor) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= mmap.ALLOCATIONGRANULARITY:
        raise ValueError(f"its alignment is {alignment!r:.80}")
    start = -(-cursor.place // alignment) * alignment
    tensors = {
        name: _place(name, shape, kind, start + offset, len(data), where) for name, shape, kind, offset in listed
    }
    return Header(where, metadata, tensors)


def _read_tensor(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """A tensor's name, shape, type and place. The file has the contiguous axis first."""
    name, dimensions = cursor.string(), cursor.whole(4)
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise ValueError(f"tensor {name!r:.80} has {dimensions:,} dimensions")
    shape = tuple(cursor.whole(8) for _ in range(dimensions))[::-1]
    return name, shape, cursor.whole(4), cursor.whole(8)


def _place(name: str, shape: tuple[int, ...], number: int, start: int, size: int, where: str) -> GgufTensor:
    if number not in _TYPES:
        supported = ", ".join(kind.name for kind in _TYPES.values())
        raise UnsupportedModelError(
            f"{where}: tensor {name!r:.80} is stored in GGUF's type {number}, which is not supported. "
            f"Supported: {supported}."
        )
    kind = _TYPES[number]
    length = math.prod(shape) // kind.numbers * kind.bytes
    if shape[-1] % kind.numbers or length == 0 or start + length > size:
        raise ValueError(f"tensor {name!r:.80} of shape {list(shape)!s:.80} does not fit the file")
    return GgufTensor(kind.name, shape, start)
