"""Safetensors to checked float32 arrays, by name.

Pickled weights (``pytorch_model.bin``) are refused: unpickling runs whatever code the file holds. The format is
https://huggingface.co/docs/safetensors: eight bytes of header length, a JSON header, then the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families.names import TensorPart
from pellucid.sources.files import MOST_JSON_BYTES, ModelFiles, wanted
from pellucid.types import Float32

_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
_MOST_SHARDS = 1000
_NUMBERS_PER_CHECK = 1 << 20


@dataclass(frozen=True)
class _Stored:
    """Where a tensor lies: its file, type, shape, and first byte."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    def rows(self, part: TensorPart) -> _Stored:
        """One of the matrices that lie in it one below the other."""
        shape = (self.shape[0] // part.of, *self.shape[1:])
        size = math.prod(shape) * np.dtype(_DTYPES[self.dtype]).itemsize
        return replace(self, shape=shape, start=self.start + part.number * size)


class Tensors:
    """The tensors of one folder of a model, not yet read."""

    def __init__(self, name: str, stored: Mapping[str, _Stored]) -> None:
        self.name = name
        self._stored = stored

    @classmethod
    def open(cls, files: ModelFiles, folder: str = "") -> Tensors:
        """Read the headers of a folder's ``model.safetensors``, or of the shards that its index names.

        Raises:
            InvalidModelError: no weights, or a file whose header is broken, truncated, or lies about its size.
            UnsupportedModelError: only weights in a pickled, or another runtime's, format.
        """
        stored: dict[str, _Stored] = {}
        for shard in _shards(files, folder):
            stored |= _read_header(files, shard)
        return cls(f"{files.name}: {folder or 'the top folder'}", stored)

    @property
    def parameters(self) -> int:
        """How many floating-point numbers they have in all; old checkpoints store whole numbers too, as positions."""
        return sum(math.prod(stored.shape) for stored in self._stored.values() if stored.dtype in _DTYPES)

    def __contains__(self, tensor: str) -> bool:
        """Whether there is a tensor of this name."""
        return tensor in self._stored

    def read(self, tensor: str, shape: tuple[int, ...], part: TensorPart | None = None) -> Float32:
        """A tensor as float32; float32 ones stay mapped from the file, others are converted.

        Args:
            tensor: its name.
            shape: what is to come back.
            part: if the tensor holds several such, which of them.

        Raises:
            InvalidModelError: it is missing, has another shape, or holds NaN or infinity.
            UnsupportedModelError: its type is not a floating-point type that we read.
        """
        if tensor not in self._stored:
            raise InvalidModelError(
                f"{self.name}: the weights have no tensor {tensor!r}, which config.json and modules.json promise. "
                f"The files may be of different models, or the download may be incomplete."
            )
        stored = self._stored[tensor]
        whole = (shape[0] * part.of, *shape[1:]) if part else shape
        if stored.shape != whole:
            raise InvalidModelError(
                f"{self.name}: tensor {tensor!r} has shape {list(stored.shape)!s:.80}, and by config.json it should "
                f"have {list(whole)}. The files may be of different models."
            )
        if stored.dtype not in _DTYPES:
            raise UnsupportedModelError(
                f"{self.name}: tensor {tensor!r} is stored as {stored.dtype}. Supported: {', '.join(_DTYPES)}."
            )
        array, mapping = _map(stored.rows(part) if part else stored)
        for start in range(0, array.size, _NUMBERS_PER_CHECK):
            if not np.isfinite(array.reshape(-1)[start : start + _NUMBERS_PER_CHECK]).all():
                raise InvalidModelError(f"{self.name}: tensor {tensor!r} holds NaN or infinity; the file is damaged.")
            if hasattr(mapping, "madvise"):  # Not on Windows. What was looked at need not stay in memory.
                mapping.madvise(mmap.MADV_DONTNEED)
        return array


def _map(stored: _Stored) -> tuple[Float32, mmap.mmap]:
    """A tensor as float32, and the mapping that it was read from, or still is: its own, which goes with the array."""
    dtype = np.dtype(_DTYPES[stored.dtype])
    count = int(np.prod(stored.shape, dtype=np.int64))
    page = stored.start // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    with stored.path.open("rb") as file:
        length = stored.start - page + count * dtype.itemsize
        mapping = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=page)
    raw = np.frombuffer(mapping, dtype=dtype, count=count, offset=stored.start - page).reshape(stored.shape)
    if stored.dtype == "BF16":  # The upper half of a float32.
        return (raw.astype(np.uint32) << np.uint32(16)).view(np.float32), mapping
    with np.errstate(over="ignore"):  # A float64 beyond float32 becomes infinity, and is refused as such.
        # A copy if the file has it at an odd address, which is allowed and which nobody writes.
        return np.require(raw.astype(np.float32, copy=False), requirements="A"), mapping


def _shards(files: ModelFiles, folder: str) -> list[str]:
    """The weight files of a folder, relative to the model's."""
    prefix = f"{folder}/" if folder else ""
    if files.has(f"{prefix}model.safetensors"):
        return [f"{prefix}model.safetensors"]
    if files.has(f"{prefix}model.safetensors.index.json"):
        index = Config.read(files, f"{prefix}model.safetensors.index.json")
        shards = sorted({f"{prefix}{shard}" for shard in index.strings("weight_map").values()})
        if len(shards) > _MOST_SHARDS:
            raise InvalidModelError(
                f"{files.name}: {prefix}model.safetensors.index.json names {len(shards):,} files, and at most "
                f"{_MOST_SHARDS:,} are read."
            )
        for shard in shards:
            files.path(shard)  # Refuses one that leaves the model's folder.
        if strange := sorted({*shards} - {*wanted(shards, [folder])}):
            raise InvalidModelError(
                f"{files.name}: {prefix}model.safetensors.index.json names {strange[0]!r:.80}. Shards must lie beside "
                f"it and be called like model-00001-of-00002.safetensors."
            )
        if missing := [shard for shard in shards if not files.has(shard)]:
            raise InvalidModelError(f"{files.name}: no {missing[0]}, which {prefix}model.safetensors.index.json names.")
        return shards
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
        f"{files.name}: no weights: {files.path(f'{prefix}model.safetensors')} is not there. Is the copy complete?"
    )


def _read_header(files: ModelFiles, relative: str) -> dict[str, _Stored]:
    from safetensors import SafetensorError, safe_open

    path = files.readable(relative)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length <= MOST_JSON_BYTES:
                # The library judges the header: bounds, overlaps, sizes against types. What it accepts can be trusted.
                with safe_open(path, framework="numpy"):
                    pass
                header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InvalidModelError(
            f"{files.name}: {relative} is not a sound safetensors file ({error}). "
            f"It may be truncated: remove it and fetch it again."
        ) from error
    if length > MOST_JSON_BYTES:
        raise InvalidModelError(
            f"{files.name}: {relative} is not a sound safetensors file: its header would have {length:,} bytes, and at "
            f"most {MOST_JSON_BYTES:,} are read."
        )
    header.pop("__metadata__", None)
    return {
        name: _Stored(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }
