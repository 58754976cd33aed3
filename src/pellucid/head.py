"""What follows pooling: the model's own last modules, then cutting dimensions, unit length, and output types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pellucid.activations import ACTIVATIONS
from pellucid.errors import InvalidModelError, OptionError
from pellucid.types import Float32

OUTPUT_DTYPES = ("float32", "float16", "int8", "uint8", "binary", "ubinary")


class HeadModule(Protocol):
    """A module after pooling: ``float32[B, d]`` to ``float32[B, d']``."""

    def __call__(self, vectors: Float32, /) -> Float32:
        """Apply the module."""


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear layer with an activation: sentence-transformers' ``Dense``.

    Attributes:
        weight: ``float32[out, in]``.
        bias: ``float32[out]``, or None.
        activation: a key of :data:`pellucid.activations.ACTIVATIONS`.
        use_residual: whether the input is added to the result.
        residual: ``float32[out, in]``, through which it goes first; None to add it as it is.
    """

    weight: Float32
    bias: Float32 | None
    activation: str
    use_residual: bool = False
    residual: Float32 | None = None

    def __call__(self, vectors: Float32, /) -> Float32:
        """``activation(x Wᵀ + b)``, and with a residual ``+ x`` or ``+ x Rᵀ``."""
        linear = times(vectors, self.weight)
        result = ACTIVATIONS[self.activation](linear if self.bias is None else linear + self.bias)
        if not self.use_residual:
            return result
        return result + (vectors if self.residual is None else times(vectors, self.residual))


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Layer normalisation of the pooled vector (Ba et al., 2016): weight and bias are ``float32[d]``."""

    weight: Float32
    bias: Float32
    eps: float = 1e-5

    def __call__(self, vectors: Float32, /) -> Float32:
        """``(x - mean) / sqrt(variance + eps) * weight + bias``, over the last axis."""
        return layer_norm(vectors, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Normalize:
    """L2 normalisation to unit length: sentence-transformers' ``Normalize``."""

    def __call__(self, vectors: Float32, /) -> Float32:
        """Divide each row by its length."""
        return normalize(vectors)


def times(vectors: Float32, weight: Float32) -> Float32:
    """``x Wᵀ``, row by row: the product of many rows rounds otherwise than that of one, and the bits of a text's vector
    are not to depend on the texts beside it.
    """
    product = np.empty((len(vectors), len(weight)), dtype=np.float32)
    for row, vector in zip(product, vectors, strict=True):
        np.matmul(weight, vector, out=row)
    return product


def layer_norm(x: Float32, weight: Float32, bias: Float32, eps: float) -> Float32:
    """Layer normalisation over the last axis (Ba et al., "Layer Normalization", 2016)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    normed: Float32 = centred / np.sqrt(variance + np.float32(eps))
    return normed * weight + bias


def normalize(vectors: Float32) -> Float32:
    """Each row divided by its L2 norm. A row of zeros stays zeros (the norm is at least 1e-12, as in PyTorch)."""
    norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))  # what np.linalg.norm gives, sooner
    if not np.isfinite(norms).all():  # A length that float32 cannot hold would turn its vector to zeros, in silence.
        norms = np.where(np.isfinite(norms), norms, np.float32(np.nan))
    unit: Float32 = vectors / np.maximum(norms, np.float32(1e-12))
    return unit


def finish(
    pooled: Float32, modules: tuple[HeadModule, ...], normalize_to: bool | None, truncate_dim: int | None
) -> Float32:
    """From pooled vectors to the model's vectors.

    Args:
        pooled: ``float32[B, p]``.
        modules: the model's modules after pooling, in order.
        normalize_to: None, as the model's own modules say; True, unit length whatever they say, after cutting;
            False, not at all: the model's ``Normalize`` is passed over. A model that ends in ``Normalize`` gives
            unit length already; it is not done again, because that would change the last bits.
        truncate_dim: keep only so many leading dimensions (Kusupati et al., "Matryoshka Representation Learning",
            2022). The rest is cut after the modules, so unit length is lost unless ``normalize_to`` is True.

    Returns:
        ``float32[B, d]``.
    """
    vectors = pooled
    with np.errstate(over="ignore", invalid="ignore"):  # What is not finite is for check_finite to tell.
        for module in modules:
            if not (isinstance(module, Normalize) and normalize_to is False):
                vectors = module(vectors)
        vectors = vectors[:, :truncate_dim]
        done = truncate_dim is None and bool(modules) and isinstance(modules[-1], Normalize)
        return normalize(vectors) if normalize_to and not done else vectors


def check_finite(vectors: Float32, position: Callable[[int], int] = lambda row: row) -> None:
    """Refuse vectors that are no vectors, before anybody sees or keeps them.

    Args:
        vectors: ``float32[n, d]``.
        position: which text a row is of, for the message.

    Raises:
        InvalidModelError: a number is infinite, or is none (NaN); the text is named.
    """
    finite = np.isfinite(vectors)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise InvalidModelError(
            f"the model gives text {position(row)} a vector that is not finite (NaN or infinity). Its weights are "
            f"broken, or too large for this dtype: get the model's files again, or try dtype='float32'."
        )


def check_ranges(count: int, output_dtype: str) -> None:
    """Refuse, before any arithmetic, a type whose ranges ``count`` vectors cannot give.

    Raises:
        OptionError: int8 or uint8 of a single vector.
    """
    if output_dtype in ("int8", "uint8") and count == 1:
        raise OptionError(
            f"output_dtype={output_dtype!r} takes each dimension's range from the vectors of the call, and one "
            f"vector has no range. Embed all texts in one call, or take float32, float16 or binary."
        )


def to_dtype(vectors: Float32, output_dtype: str) -> npt.NDArray[Any]:
    """Vectors in a smaller type, as sentence-transformers' ``quantize_embeddings`` makes them.

    ``int8`` and ``uint8`` put each dimension's range, over *these* vectors, into 256 steps; ``binary`` and
    ``ubinary`` keep one bit a dimension (its sign), eight to a byte, as int8 and as uint8.

    Args:
        vectors: ``float32[n, d]``.
        output_dtype: one of :data:`OUTPUT_DTYPES`.

    Returns:
        ``[n, d]`` of the type, or ``[n, ceil(d / 8)]`` for the binary ones.
    """
    if output_dtype in ("int8", "uint8"):
        if len(vectors) == 0:
            return np.empty(vectors.shape, dtype=output_dtype)
        steps = to_ranges(vectors, vectors.min(axis=0), vectors.max(axis=0))
        return steps if output_dtype == "int8" else (steps.astype(np.int16) + 128).astype(np.uint8)
    if output_dtype in ("binary", "ubinary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if output_dtype == "ubinary" else (bits ^ np.uint8(128)).view(np.int8)  # minus 128
    return vectors.astype(output_dtype, copy=False)


def to_ranges(vectors: Float32, low: Float32, high: Float32) -> npt.NDArray[np.int8]:
    """Vectors in 256 steps between the lowest and the highest of each dimension; what lies beyond is put at the end.

    Args:
        vectors: ``float32[n, d]``.
        low: ``float32[d]``: what becomes -128.
        high: ``float32[d]``: what becomes 127.

    Returns:
        ``int8[n, d]``. ``low + (q + 128.5) * (high - low) / 255`` is within half a step of what was inside.
    """
    step = (high - low) / np.float32(255)
    steps: Float32 = np.clip(np.floor((vectors - low) / np.where(step == 0, np.float32(1), step)), 0, 255)
    return (steps - 128).astype(np.int8)
