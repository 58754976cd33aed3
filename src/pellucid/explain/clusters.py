"""Groups of near vectors: k-means (Lloyd, 1982), and how many groups there are by how much they stand out."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pellucid.explain.shares import Float64
from pellucid.types import Float32, Int64

MOST = 8
"""More colours cannot be told apart."""
_RUNS, _ROUNDS = 10, 30
_SAMPLE = 500
"""How many groups there are is judged by so many vectors: it takes all their distances."""


def clusters(vectors: Float32) -> Int64:
    """Groups of near vectors.

    k-means is run on a sample for every number of groups up to ``MOST``, several times each, and the run is taken whose
    groups stand out most: by the mean silhouette (Rousseeuw, 1987). Seeds are fixed: the same vectors, the same groups.

    Args:
        vectors: ``float32[n, d]``.

    Returns:
        ``int64[n]``: the group of each, numbered from 0 in the order in which they first occur.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    # From their mean, so that the distances of vectors that differ in their last bits are not lost in rounding.
    points = vectors - vectors.mean(axis=0, dtype=np.float64)
    sample = points[:: -(-len(points) // _SAMPLE)]
    distances = np.sqrt(_squared_distances(sample, sample))
    best, clearest = sample[:1], -1.0
    most = min(MOST, len(np.unique(sample, axis=0)), len(sample) - 1)
    for count, seed in itertools.product(range(2, most + 1), range(_RUNS)):
        centres = _k_means(sample, count, seed)
        clear = _silhouette(distances, _nearest(sample, centres))
        if clear > clearest:
            best, clearest = centres, clear
    groups = _nearest(points, best if len(sample) == len(points) else _settle(points, best))
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


def _k_means(points: Float64, count: int, seed: int) -> Float64:
    """At most ``count`` centres, ``float64[k, d]``, begun from points far apart (k-means++; Arthur and Vassilvitskii,
    2007).
    """
    rng = np.random.default_rng(seed)
    centres = points[rng.integers(len(points))][None]
    while len(centres) < count:
        nearest = _squared_distances(points, centres).min(axis=1)
        if nearest.sum() == 0:  # All that are left are where a centre is, as far as can be computed.
            break
        centres = np.vstack([centres, points[rng.choice(len(points), p=nearest / nearest.sum())]])
    return _settle(points, centres)


def _settle(points: Float64, centres: Float64) -> Float64:
    """Each centre goes to the mean of the points that are nearest to it, until none moves: ``float64[k, d]``."""
    for _ in range(_ROUNDS):
        members = (_nearest(points, centres) == np.arange(len(centres))[:, None]).astype(np.float64)
        sizes = members.sum(axis=1, keepdims=True)
        moved = np.where(sizes > 0, members @ points / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _silhouette(distances: Float64, groups: Int64) -> float:
    """From -1 to 1: how much nearer points are to their own group than to the next.

    Args:
        distances: ``float64[n, n]``.
        groups: ``int64[n]``.
    """
    names, own = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        return -1.0
    members = (groups == names[:, None]).astype(np.float64)
    sums, sizes = members @ distances, members.sum(axis=1)
    places = np.arange(len(groups))
    within = sums[own, places] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes[:, None]
    means[own, places] = np.inf
    nearest = means.min(axis=0)
    widths = (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-300)
    return float(np.where(sizes[own] > 1, widths, 0).mean())


def _nearest(points: Float64, centres: Float64) -> Int64:
    """The nearest centre of each point: ``int64[n]``."""
    nearest: Int64 = _squared_distances(points, centres).argmin(axis=1)
    return nearest


def _squared_distances(points: Float64, centres: Float64) -> Float64:
    """``float64[n, k]``."""
    squares: npt.NDArray[np.float64] = (
        np.einsum("ij,ij->i", points, points)[:, None]
        - 2 * points @ centres.T
        + np.einsum("ij,ij->i", centres, centres)
    )
    return np.maximum(squares, 0)
