"""Clusters of similar vectors, found by k-means (Lloyd, 1982). The silhouette decides how many there are."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from pellucid.explain.shares import Float64
from pellucid.types import Float32, Int64

MAX_CLUSTERS = 8
"""People cannot tell more colours apart."""
_RESTARTS = 10
"""For each number of clusters, k-means runs this many times, each time from other starting centres."""
_MAX_ITERATIONS = 30
_MAX_SAMPLE = 500
"""The number of clusters is chosen on at most this many vectors, because the silhouette needs all their distances."""


def find_clusters(vectors: Float32) -> Int64:
    """Group similar vectors.

    k-means runs on a sample, several times for each number of clusters up to ``MAX_CLUSTERS``. The run with the highest
    mean silhouette (Rousseeuw, 1987) wins: its clusters are the best separated. The random seeds are fixed, so the same
    vectors always give the same clusters.

    Args:
        vectors: ``float32[n, d]``.

    Returns:
        ``int64[n]``: the cluster of each vector. Clusters are numbered from 0 in the order of their first vectors.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    # Subtract the mean first: otherwise rounding would hide the distances of vectors that differ in their last bits.
    points = vectors - vectors.mean(axis=0, dtype=np.float64)
    sample = points[:: -(-len(points) // _MAX_SAMPLE)]
    distances = np.sqrt(_squared_distances(sample, sample))
    best_centres, best_silhouette = sample[:1], -1.0
    max_count = min(MAX_CLUSTERS, len(np.unique(sample, axis=0)), len(sample) - 1)
    for count, seed in itertools.product(range(2, max_count + 1), range(_RESTARTS)):
        centres = _k_means(sample, count, seed)
        silhouette = _silhouette(distances, _nearest_centre(sample, centres))
        if silhouette > best_silhouette:
            best_centres, best_silhouette = centres, silhouette
    if len(sample) < len(points):
        best_centres = _refine_centres(points, best_centres)
    groups = _nearest_centre(points, best_centres)
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


def _k_means(points: Float64, count: int, seed: int) -> Float64:
    """Find at most ``count`` centres, ``float64[k, d]``.

    The starting centres are points far apart from each other (k-means++; Arthur and Vassilvitskii, 2007).
    """
    rng = np.random.default_rng(seed)
    centres = points[rng.integers(len(points))][None]
    while len(centres) < count:
        nearest = _squared_distances(points, centres).min(axis=1)
        if nearest.sum() == 0:  # Within rounding, every point coincides with a centre.
            break
        centres = np.vstack([centres, points[rng.choice(len(points), p=nearest / nearest.sum())]])
    return _refine_centres(points, centres)


def _refine_centres(points: Float64, centres: Float64) -> Float64:
    """Move each centre to the mean of its nearest points until no centre moves: ``float64[k, d]``."""
    for _ in range(_MAX_ITERATIONS):
        members = (_nearest_centre(points, centres) == np.arange(len(centres))[:, None]).astype(np.float64)
        sizes = members.sum(axis=1, keepdims=True)
        moved = np.where(sizes > 0, members @ points / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _silhouette(distances: Float64, groups: Int64) -> float:
    """Measure how much nearer the points are to their own cluster than to the next one, from -1 to 1.

    Args:
        distances: ``float64[n, n]``.
        groups: ``int64[n]``, the cluster of each point.
    """
    names, own = np.unique(groups, return_inverse=True)
    if len(names) == 1:
        return -1.0
    members = (groups == names[:, None]).astype(np.float64)
    sums, sizes = members @ distances, members.sum(axis=1)
    points = np.arange(len(groups))
    within = sums[own, points] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes[:, None]
    means[own, points] = np.inf
    nearest = means.min(axis=0)
    widths = (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-300)
    return float(np.where(sizes[own] > 1, widths, 0).mean())


def _nearest_centre(points: Float64, centres: Float64) -> Int64:
    """The index of the nearest centre of each point: ``int64[n]``."""
    nearest: Int64 = _squared_distances(points, centres).argmin(axis=1)
    return nearest


def _squared_distances(points: Float64, centres: Float64) -> Float64:
    """The squared distance of each point to each centre: ``float64[n, k]``."""
    squares: npt.NDArray[np.float64] = (
        np.einsum("ij,ij->i", points, points)[:, None]
        - 2 * points @ centres.T
        + np.einsum("ij,ij->i", centres, centres)
    )
    return np.maximum(squares, 0)
