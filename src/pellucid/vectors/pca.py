"""Principal component analysis (Pearson, 1901): the directions in which vectors differ most."""

from __future__ import annotations

import numpy as np

from pellucid.types import Float32
from pellucid.vectors.blocks import MAX_NUMBERS, blocks


def reduce(vectors: Float32, dimensions: int) -> tuple[Float32, float]:
    """Centre vectors, and keep their ``dimensions`` principal components.

    The sums are in float64, a block of rows at a time. Each component points to the side where the vector farthest from
    the centre is, so the same vectors always give the same result.

    Args:
        vectors: ``float32[n, d]``, more than one.
        dimensions: at most d.

    Returns:
        ``float32[n, dimensions]``, the most important component first; and the share of the variance that they keep.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    parts = list(blocks(len(vectors), max(1, MAX_NUMBERS // vectors.shape[1])))
    covariance = np.zeros((vectors.shape[1],) * 2)
    for part in parts:
        centred = vectors[part] - mean
        covariance += centred.T @ centred
    values, components = np.linalg.eigh(covariance)  # In rising order.
    components = components[:, ::-1][:, :dimensions]
    reduced = np.empty((len(vectors), dimensions), dtype=np.float32)
    for part in parts:
        reduced[part] = (vectors[part] - mean) @ components
    farthest = np.abs(reduced).argmax(axis=0)
    reduced *= np.where(reduced[farthest, np.arange(dimensions)] < 0, np.float32(-1), np.float32(1))
    values = np.maximum(values[::-1], 0)
    total = values.sum()
    return reduced, float(values[:dimensions].sum() / total) if total else 1.0
