"""The normalizations: of a vector's numbers to mean 0 and variance 1, to mean square 1, and of its length to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.reprs import short_repr
from pellucid.types import Float32


def layer_norm(x: Float32, weight: Float32, bias: Float32, eps: float) -> Float32:
    """Layer normalization over the last axis (Ba et al., "Layer Normalization", 2016).

    That is ``(x - mean) / sqrt(variance + eps) * weight + bias``.
    """
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    normalized: Float32 = centred / np.sqrt(variance + np.float32(eps))
    return normalized * weight + bias


def rms_norm(x: Float32, weight: Float32, eps: float) -> Float32:
    """Root mean square normalization over the last axis (Zhang and Sennrich, 2019).

    That is ``x / sqrt(mean(x²) + eps) * weight``.
    """
    normalized: Float32 = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(eps))
    return normalized * weight


def normalize(vectors: Float32) -> Float32:
    """Divide each row by its L2 norm.

    The norm counts as at least 1e-12, as in PyTorch, so a row of zeros stays zeros. A row whose norm does not fit
    float32 becomes NaN; dividing by infinity would silently make it zeros.
    """
    norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    if not np.isfinite(norms).all():
        norms = np.where(np.isfinite(norms), norms, np.float32(np.nan))
    unit_vectors: Float32 = vectors / np.maximum(norms, np.float32(1e-12))
    return unit_vectors


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """Layer normalization of each row: sentence-transformers' ``LayerNorm``. Weight and bias are ``float32[d]``."""

    weight: Float32
    bias: Float32
    eps: float = 1e-5

    __repr__ = short_repr

    def __call__(self, vectors: Float32, /) -> Float32:
        """Apply :func:`layer_norm` to each row."""
        return layer_norm(vectors, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Normalize:
    """L2 normalization to unit length: sentence-transformers' ``Normalize``."""

    def __call__(self, vectors: Float32, /) -> Float32:
        """Apply :func:`normalize` to each row."""
        return normalize(vectors)
