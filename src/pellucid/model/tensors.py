"""Read named tensors from safetensors and GGUF files, as float32 or as they are stored, with checks.

Pickled weights (``pytorch_model.bin``) are refused, because unpickling runs whatever code the file holds. A safetensors
file (https://huggingface.co/docs/safetensors) has eight bytes with the length of its header, then the header as JSON,
then the bytes of the tensors.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import InvalidModelError, MissingExtraError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families.names import TensorPart
from pellucid.model.stored import StoredNumbers, all_finite, as_float32
from pellucid.sources.files import GGUF_WEIGHTS, MAX_JSON_BYTES, ModelFiles, select_files
from pellucid.sources.gguf.architectures import transformers_tensors
from pellucid.sources.gguf.header import BLOCK_TYPES, read_header
from pellucid.types import Float32

_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8", **dict.fromkeys(BLOCK_TYPES, "u1")}
_INTEGER_DTYPES = {"I64": "<i8", "I32": "<i4", "I16": "<i2", "U16": "<u2", "U8": "u1", "U32": "<u4"}
_MAX_SHARDS = 1000
_NUMBERS_PER_CHECK = 1 << 20


@dataclass(frozen=True)
class _StoredTensor:
    """The place of a tensor on disk: its file, type, shape and first byte."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    def part(self, part: TensorPart) -> _StoredTensor:
        """One of the matrices that are stacked in this tensor."""
        matrix = replace(self, shape=(self.shape[0] // part.count, *self.shape[1:]))
        size = math.prod(matrix.stored_shape) * np.dtype(_DTYPES[self.dtype]).itemsize
        return replace(matrix, start=self.start + part.index * size)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape as it is stored. It differs if the numbers are in blocks, which are counted in bytes."""
        if (block := BLOCK_TYPES.get(self.dtype)) is None:
            return self.shape
        return (*self.shape[:-1], self.shape[-1] // block.numbers * block.bytes)


class Tensors:
    """The tensors in one folder of a model. Opening them reads only the headers of the files."""

    def __init__(self, name: str, stored: Mapping[str, _StoredTensor]) -> None:
        self.name = name
        self._stored = stored

    @classmethod
    def open(cls, files: ModelFiles, folder: str = "") -> Tensors:
        """Read the header of a folder's ``model.safetensors`` or ``model.gguf``, or of the shards that its index names.

        Raises:
            InvalidModelError: there are no weights; or the header of a file is broken, truncated, or does not fit the
                file's size.
            UnsupportedModelError: all weights are pickled, or in the format of another runtime.
        """
        stored: dict[str, _StoredTensor] = {}
        for shard in _find_shards(files, folder):
            stored |= _read_gguf(files, shard) if shard.endswith(GGUF_WEIGHTS) else _read_header(files, shard)
        return cls(f"{files.name}: {folder or 'the top folder'}", stored)

    @classmethod
    def open_file(cls, files: ModelFiles, name: str) -> Tensors:
        """Read the header of one safetensors file.

        Raises:
            InvalidModelError: it is missing, broken or truncated.
        """
        return cls(f"{files.name}: {name}", _read_header(files, name))

    @property
    def parameters(self) -> int:
        """The number of floating-point numbers in all tensors.

        Whole numbers do not count. Old checkpoints store some, such as position ids.
        """
        return sum(math.prod(stored.shape) for stored in self._stored.values() if stored.dtype in _DTYPES)

    def __contains__(self, tensor: str) -> bool:
        """True if there is a tensor of this name."""
        return tensor in self._stored

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The shape of a tensor that is there."""
        return self._stored[tensor].shape

    def read_integers(self, tensor: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Read a tensor of whole numbers, as it is stored. Raises the errors of :meth:`read`."""
        stored = self._find(tensor, shape, _INTEGER_DTYPES)
        return np.require(_map(stored, _INTEGER_DTYPES[stored.dtype])[0], requirements="A")

    def read_as_stored(
        self, tensor: str, shape: tuple[int, ...], part: TensorPart | None = None, *, allow_int8: bool = False
    ) -> StoredNumbers:
        """Map a tensor of float32, float16 or bfloat16 from the file; with ``allow_int8``, also one of int8.

        A tensor of float64, or of numbers in blocks, is converted to float32. Arguments and errors are those of
        :meth:`read`.
        """
        dtypes = _DTYPES | {"I8": "i1"} if allow_int8 else _DTYPES
        stored = self._find(tensor, (shape[0] * part.count, *shape[1:]) if part else shape, dtypes)
        array, mapping = _map(stored.part(part) if part else stored, dtypes[stored.dtype])
        if stored.dtype in BLOCK_TYPES:
            array = _unblock(array, stored.dtype)
        elif stored.dtype == "F64":
            with np.errstate(over="ignore"):  # What is too large for float32 becomes infinity, which is refused below.
                array = array.astype(np.float32)
        if stored.dtype != "I8":
            self._check_finite(tensor, array, mapping)
        # The array must be aligned. The format allows a file that is not, though nobody writes one; it is copied.
        return np.require(array, requirements="A")

    def read(self, tensor: str, shape: tuple[int, ...], part: TensorPart | None = None) -> Float32:
        """Read a tensor as float32. A float32 tensor stays mapped from the file; other types are converted.

        Args:
            tensor: the tensor's name.
            shape: the shape of the result.
            part: the part of the tensor to read, if it is several matrices stacked on each other.

        Raises:
            InvalidModelError: the tensor is missing, has another shape, or holds NaN or infinity.
            UnsupportedModelError: the tensor's type is not one of the floating-point types that Pellucid reads.
        """
        return as_float32(self.read_as_stored(tensor, shape, part))

    def _find(self, tensor: str, shape: tuple[int, ...], dtypes: Mapping[str, str]) -> _StoredTensor:
        """The place of a tensor that must have this shape, and one of these types."""
        if tensor not in self._stored:
            raise InvalidModelError(
                f"{self.name}: the weights have no tensor {tensor!r}, which config.json and modules.json call for. "
                f"The files may belong to different models, or the download may be incomplete."
            )
        stored = self._stored[tensor]
        if stored.shape != shape:
            raise InvalidModelError(
                f"{self.name}: tensor {tensor!r} has shape {list(stored.shape)!s:.80}, but config.json calls for "
                f"{list(shape)}. The files may belong to different models."
            )
        if stored.dtype not in dtypes:
            raise UnsupportedModelError(
                f"{self.name}: tensor {tensor!r} is stored as {stored.dtype}. Supported: {', '.join(dtypes)}."
            )
        return stored

    def _check_finite(self, tensor: str, array: npt.NDArray[Any], mapping: mmap.mmap) -> None:
        for start in range(0, array.size, _NUMBERS_PER_CHECK):
            if not all_finite(array.reshape(-1)[start : start + _NUMBERS_PER_CHECK]):
                raise InvalidModelError(f"{self.name}: tensor {tensor!r} holds NaN or infinity; the file is damaged.")
            if hasattr(mapping, "madvise"):  # Windows does not have it. What has been checked can leave the memory.
                mapping.madvise(mmap.MADV_DONTNEED)


def write_tensors(path: Path, tensors: Mapping[str, Float32]) -> None:
    """Write tensors to a safetensors file."""
    from safetensors.numpy import save

    # Not save_file, which makes a file that nobody else may read. transformers refuses a file without a format.
    path.write_bytes(save(dict(tensors), metadata={"format": "pt"}))


def _map(stored: _StoredTensor, dtype_name: str) -> tuple[npt.NDArray[Any], mmap.mmap]:
    """A tensor as it is stored, of this NumPy dtype, and the mapping that it was read from.

    Each tensor has its own mapping. If the array still uses it, the mapping lives as long as the array.
    """
    dtype = np.dtype(dtype_name)
    count = math.prod(stored.stored_shape)
    page = stored.start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    with stored.path.open("rb") as file:
        length = stored.start - page + count * dtype.itemsize
        mapping = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=page)
    raw = np.frombuffer(mapping, dtype=dtype, count=count, offset=stored.start - page)
    return raw.reshape(stored.stored_shape), mapping


def _unblock(raw: npt.NDArray[Any], dtype: str) -> Float32:
    """The numbers in blocks of bytes."""
    try:
        import gguf
    except ImportError as error:
        raise MissingExtraError("gguf", "gguf", f"A GGUF file with numbers of the type {dtype}") from error
    numbers: Float32 = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[dtype])
    return numbers


def _find_shards(files: ModelFiles, folder: str) -> list[str]:
    """The weight files in a folder of the model. Their paths are relative to the model's folder."""
    prefix = f"{folder}/" if folder else ""
    if files.has(f"{prefix}model.safetensors"):
        return [f"{prefix}model.safetensors"]
    if files.has(f"{prefix}model.safetensors.index.json"):
        return _read_shard_index(files, folder, f"{prefix}model.safetensors.index.json")
    if files.has(f"{prefix}{GGUF_WEIGHTS}"):
        return [f"{prefix}{GGUF_WEIGHTS}"]
    others = [
        name
        for name in files.listing
        if name.rpartition("/")[0] == folder
        and name.endswith((".bin", ".pt", ".pth", ".ckpt", ".h5", ".ot", ".msgpack"))
    ]
    if others:
        raise UnsupportedModelError(
            f"{files.name}: no {prefix}model.safetensors, only {', '.join(others[:3])}. Pickled weights are refused, "
            f"because unpickling runs whatever code the file holds. If you trust it, convert it once where PyTorch "
            f"is installed: SentenceTransformer({files.name!r}).save_pretrained('converted'), then load that folder. "
            f"On the Hub, a revision with safetensors may exist: look among the model's pull requests."
        )
    raise InvalidModelError(
        f"{files.name}: there are no weights: {files.path(f'{prefix}model.safetensors')} does not exist. Is the copy "
        f"complete?"
    )


def _read_shard_index(files: ModelFiles, folder: str, index: str) -> list[str]:
    """The weight files that the index of a folder names."""
    prefix = f"{folder}/" if folder else ""
    weight_map = Config.read(files, index).strings("weight_map")
    shards = sorted({f"{prefix}{shard}" for shard in weight_map.values()})
    if len(shards) > _MAX_SHARDS:
        raise InvalidModelError(f"{files.name}: {index} names {len(shards):,} files, and the limit is {_MAX_SHARDS:,}.")
    for shard in shards:
        files.path(shard)  # Raises an error if the path leaves the model's folder.
    if misnamed := sorted({*shards} - {*select_files(shards, [folder])}):
        raise InvalidModelError(
            f"{files.name}: {index} names {misnamed[0]!r:.80}. Shards must be in the same folder as the index and "
            f"have names like model-00001-of-00002.safetensors."
        )
    if missing := [shard for shard in shards if not files.has(shard)]:
        raise InvalidModelError(f"{files.name}: there is no {missing[0]}, which {index} names.")
    return shards


def _read_gguf(files: ModelFiles, relative: str) -> dict[str, _StoredTensor]:
    """The tensors of a GGUF file, by the names that transformers has for them."""
    path = files.readable(relative)
    tensors = transformers_tensors(read_header(path, f"{files.name}: {relative}"))
    return {name: _StoredTensor(path, tensor.kind, tensor.shape, tensor.start) for name, tensor in tensors.items()}


def _read_header(files: ModelFiles, relative: str) -> dict[str, _StoredTensor]:
    """The tensors that the header of a safetensors file describes, by name."""
    from safetensors import SafetensorError, safe_open

    path = files.readable(relative)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length <= MAX_JSON_BYTES:
                # The library checks bounds, overlaps, and sizes against types. A header that it accepts can be trusted.
                with safe_open(path, framework="numpy"):
                    pass
                header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InvalidModelError(
            f"{files.name}: {relative} is not a sound safetensors file ({error}). "
            f"It may be truncated: remove it and download it again."
        ) from error
    if length > MAX_JSON_BYTES:
        raise InvalidModelError(
            f"{files.name}: {relative} is not a sound safetensors file: its header claims to have {length:,} bytes, "
            f"and the limit is {MAX_JSON_BYTES:,}."
        )
    header.pop("__metadata__", None)
    return {
        name: _StoredTensor(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }
