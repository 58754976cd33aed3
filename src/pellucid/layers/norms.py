"""Normalisation: of a vector's numbers to mean 0 and variance 1, and of its length to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.types import Float32


def layer_norm(x: Float32, weight: Float32, bias: Float32, eps: float) -> Float32:
    """Layer normalisation over the last axis (Ba et al., "Layer Normalization", 2016)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    normed: Float32 = centred / np.sqrt(variance + np.float32(eps))
    return normed * weight + bias


def normalize(vectors: Float32) -> Float32:
    """Each row divided by its L2 norm. A row of zeros stays zeros (the norm is at least 1e-12, as in PyTorch)."""
    norms = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    if not np.isfinite(norms).all():  # A length that float32 cannot hold would turn its vector to zeros, in silence.
        norms = np.where(np.isfinite(norms), norms, np.float32(np.nan))
    unit: Float32 = vectors / np.maximum(norms, np.float32(1e-12))
    return unit


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
