"""Safetensors to named, checked float32 arrays.

Pickled weights (``pytorch_model.bin``) are refused: unpickling runs whatever code the file holds. The format is
https://huggingface.co/docs/safetensors: eight bytes of header length, a JSON header, then the tensors' bytes.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families.names import TensorNames
from pellucid.model.spec import EncoderSpec
from pellucid.sources.files import ModelFiles
from pellucid.types import Float32

_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}
_NUMBERS_PER_CHECK = 1 << 20


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer: ``x Wᵀ + b`` with weight ``float32[out, in]`` and bias ``float32[out]``."""

    weight: Float32
    bias: Float32


@dataclass(frozen=True, eq=False)
class Norm:
    """A layer normalisation: weight and bias are ``float32[hidden]``."""

    weight: Float32
    bias: Float32


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer, in the order in which the data pass it."""

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: Norm
    intermediate: Linear
    output: Linear
    output_norm: Norm


@dataclass(frozen=True, eq=False)
class EncoderWeights:
    """All weights of an encoder.

    Attributes:
        word: ``float32[vocab_size, hidden]``.
        position: ``float32[positions, hidden]``.
        token_type: ``float32[token_types, hidden]``, or None.
        embedding_norm: follows the sum of the three.
        relative_bias: ``float32[relative_buckets, heads]``, or None.
        layers: in order. Each is read from the file, and checked, when it is taken, and not kept: an engine that packs
            the weights in a form of its own never holds them twice.
    """

    word: Float32
    position: Float32
    token_type: Float32 | None
    embedding_norm: Norm
    relative_bias: Float32 | None
    layers: Iterable[Layer]


class _LayersInTheFile(Iterable[Layer]):
    """Layers that are read each time they are gone through."""

    def __init__(self, count: int, read: Callable[[int], Layer]) -> None:
        self._count = count
        self._read = read

    def __iter__(self) -> Iterator[Layer]:
        return map(self._read, range(self._count))


@dataclass(frozen=True)
class _Stored:
    """Where a tensor lies: its file, type, shape, and first byte."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int


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

    def __contains__(self, tensor: str) -> bool:
        """Whether there is a tensor of this name."""
        return tensor in self._stored

    def read(self, tensor: str, shape: tuple[int, ...]) -> Float32:
        """A tensor as float32; float32 ones stay mapped from the file, others are converted.

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
        if stored.shape != shape:
            raise InvalidModelError(
                f"{self.name}: tensor {tensor!r} has shape {list(stored.shape)}, and by config.json it should have "
                f"{list(shape)}. The files may be of different models."
            )
        if stored.dtype not in _DTYPES:
            raise UnsupportedModelError(
                f"{self.name}: tensor {tensor!r} is stored as {stored.dtype}. Supported: {', '.join(_DTYPES)}."
            )
        array, mapping = _map(stored)
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

    path = files.path(relative)
    try:
        # The library judges the header: bounds, overlaps, sizes against types. What it accepts can be trusted.
        with safe_open(path, framework="numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise InvalidModelError(
            f"{files.name}: {relative} is not a sound safetensors file ({error}). "
            f"It may be truncated: remove it and fetch it again."
        ) from error
    header.pop("__metadata__", None)
    return {
        name: _Stored(path, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }


def read_linear(tensors: Tensors, name: str, out: int, into: int) -> Linear:
    """The linear layer of this name, from ``into`` to ``out`` features."""
    return Linear(tensors.read(f"{name}.weight", (out, into)), tensors.read(f"{name}.bias", (out,)))


def read_norm(tensors: Tensors, name: str, size: int) -> Norm:
    """The layer normalisation of this name. The first BERT checkpoints call its parts gamma and beta."""
    weight, bias = ("gamma", "beta") if f"{name}.gamma" in tensors else ("weight", "bias")
    return Norm(tensors.read(f"{name}.{weight}", (size,)), tensors.read(f"{name}.{bias}", (size,)))


def read_encoder(tensors: Tensors, spec: EncoderSpec, names: TensorNames) -> EncoderWeights:
    """The weights of an encoder, each with the shape that its spec asks for.

    Raises:
        InvalidModelError, UnsupportedModelError: as :meth:`Tensors.read`; for a layer's tensors, when it is taken.
    """
    prefix = next((p for p in names.prefixes if f"{p}{names.word}.weight" in tensors), names.prefixes[0])
    hidden, inner = spec.hidden_size, spec.intermediate_size

    def table(name: str, rows: int, width: int) -> Float32:
        return tensors.read(f"{prefix}{name}.weight", (rows, width))

    def layer(number: int) -> Layer:
        start = prefix + names.layer.format(number)
        return Layer(
            query=read_linear(tensors, start + names.query, hidden, hidden),
            key=read_linear(tensors, start + names.key, hidden, hidden),
            value=read_linear(tensors, start + names.value, hidden, hidden),
            attention_output=read_linear(tensors, start + names.attention_output, hidden, hidden),
            attention_norm=read_norm(tensors, start + names.attention_norm, hidden),
            intermediate=read_linear(tensors, start + names.intermediate, inner, hidden),
            output=read_linear(tensors, start + names.output, hidden, inner),
            output_norm=read_norm(tensors, start + names.output_norm, hidden),
        )

    return EncoderWeights(
        word=table(names.word, spec.vocab_size, hidden),
        position=table(names.position, spec.positions, hidden),
        token_type=table(names.token_type, spec.token_types, hidden) if names.token_type else None,
        embedding_norm=read_norm(tensors, prefix + names.embedding_norm, hidden),
        relative_bias=table(names.relative_bias, spec.relative_buckets, spec.heads) if names.relative_bias else None,
        layers=_LayersInTheFile(spec.layers, layer),
    )
