"""k-means (Lloyd, 1982): groups of vectors around centres. The silhouette can decide how many groups there are.

The starting centres are chosen on a sample, and all vectors then move them. The random seeds are fixed, so the same
vectors always give the same groups. Distances are computed in float64, from vectors whose mean was subtracted:
otherwise rounding would hide the distances of vectors that differ in their last bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pellucid.types import Float32, Int64
from pellucid.vectors.blocks import MAX_NUMBERS, blocks

Float64 = npt.NDArray[np.float64]

MAX_CHOSEN = 8
"""The most groups that the silhouette may choose. People cannot tell more colours apart on a map."""
_RUNS = 10
"""For each number of groups, k-means runs this many times on the sample, each time from other starting centres."""
_CENTRES_OF_ALL_RUNS = 200
"""With many groups it runs less often: each run takes longer, and its result depends less on where it starts."""
_MAX_ITERATIONS = 30
_MAX_SILHOUETTE_SAMPLE = 500
"""The silhouette needs the distances of all pairs, so it looks at no more vectors than this."""
_MAX_SAMPLE = 2000
_SAMPLE_PER_GROUP = 20
"""For a given number of groups, the sample is at least this large for each of them."""
_ROWS_PER_BLOCK = 4096


def k_means(vectors: Float32, k: int) -> Int64:
    """Divide vectors into ``k`` groups, so that the sum of squared distances to the groups' means is small.

    k-means runs several times on a sample. The run with the smallest sum wins.

    Args:
        vectors: ``float32[n, d]``.
        k: the number of groups, at least 1.

    Returns:
        ``int64[n]``: the group of each vector. Groups are numbered from 0 in the order of their first vectors. You
        get fewer than ``k`` if fewer vectors differ, and rarely for other reasons.
    """
    mean = _mean(vectors)
    sample = _sample(vectors, max(_MAX_SAMPLE, k * _SAMPLE_PER_GROUP)) - mean
    k = min(k, len(np.unique(sample, axis=0)))
    count = 1 if k == 1 else max(1, min(_RUNS, _CENTRES_OF_ALL_RUNS // k))
    runs = [_centres(sample, k, seed) for seed in range(count)]
    best = min(runs, key=lambda centres: _nearest_centres(sample, centres)[1].sum())
    return _group(vectors, mean, best, refine=len(sample) < len(vectors))


def choose_k_means(vectors: Float32, max_k: int = MAX_CHOSEN) -> Int64:
    """Divide vectors into as many groups as fit best.

    k-means runs on a sample, several times for each number of groups up to ``max_k``. The run with the highest mean
    silhouette (Rousseeuw, 1987) wins: its groups are the best separated.

    Args:
        vectors: ``float32[n, d]``.
        max_k: the most groups.

    Returns:
        ``int64[n]``: the group of each vector. Groups are numbered from 0 in the order of their first vectors.
    """
    if not len(vectors):
        return np.zeros(0, dtype=np.int64)
    mean = _mean(vectors)
    sample = _sample(vectors, _MAX_SILHOUETTE_SAMPLE) - mean
    distances = np.sqrt(_squared_distances(sample, sample))
    best_centres, best_silhouette = sample[:1], -1.0
    limit = min(max_k, len(np.unique(sample, axis=0)), len(sample) - 1)
    for count, seed in itertools.product(range(2, limit + 1), range(_RUNS)):
        centres = _centres(sample, count, seed)
        silhouette = _silhouette(distances, _nearest_centres(sample, centres)[0])
        if silhouette > best_silhouette:
            best_centres, best_silhouette = centres, silhouette
    return _group(vectors, mean, best_centres, refine=len(sample) < len(vectors))


def _mean(vectors: Float32) -> Float64:
    mean: Float64 = vectors.mean(axis=0, dtype=np.float64)
    return mean


def _sample(vectors: Float32, size: int) -> Float32:
    """At most ``size`` vectors, evenly spaced."""
    return vectors[:: -(-len(vectors) // size)]


def _group(vectors: Float32, mean: Float64, centres: Float64, *, refine: bool) -> Int64:
    """The group of each vector, in the order of their first vectors. ``refine`` moves the centres to all vectors."""
    if refine:
        centres = _refine_centres(vectors, mean, centres)
    groups = np.concatenate(
        [_nearest_centres(points, centres)[0] for points in _centred_blocks(vectors, mean, centres)]
    )
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[numbers]


def _row_blocks(vectors: Float32 | Float64, centres: Float64) -> Iterator[slice]:
    """Slices of vectors, so short that a number for each of their pairs with the centres takes little memory."""
    return blocks(len(vectors), min(_ROWS_PER_BLOCK, max(1, MAX_NUMBERS // len(centres))))


def _centred_blocks(vectors: Float32 | Float64, mean: Float64, centres: Float64) -> Iterator[Float64]:
    """The vectors without their mean, a few at a time."""
    return (vectors[rows] - mean for rows in _row_blocks(vectors, centres))


def _centres(points: Float64, count: int, seed: int) -> Float64:
    """Find at most ``count`` centres, ``float64[k, d]``.

    The starting centres are points far apart from each other (k-means++; Arthur and Vassilvitskii, 2007).
    """
    rng = np.random.default_rng(seed)
    centres = points[rng.integers(len(points))][None]
    nearest = _squared_distances(points, centres)[:, 0]
    while len(centres) < count and nearest.sum() > 0:  # At 0, every point coincides with a centre, within rounding.
        centre = points[rng.choice(len(points), p=nearest / nearest.sum())][None]
        centres = np.vstack([centres, centre])
        nearest = np.minimum(nearest, _squared_distances(points, centre)[:, 0])
    return _refine_centres(points, np.zeros(points.shape[1]), centres)


def _refine_centres(vectors: Float32 | Float64, mean: Float64, centres: Float64) -> Float64:
    """Move each centre to the mean of its nearest points until no centre moves: ``float64[k, d]``."""
    for _ in range(_MAX_ITERATIONS):
        sums, sizes = np.zeros_like(centres), np.zeros((len(centres), 1))
        for points in _centred_blocks(vectors, mean, centres):
            groups, _ = _nearest_centres(points, centres)
            members = (groups == np.arange(len(centres))[:, None]).astype(np.float64)
            sums += members @ points
            sizes += members.sum(axis=1, keepdims=True)
        moved = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def _silhouette(distances: Float64, groups: Int64) -> float:
    """Measure how much nearer the points are to their own group than to the next one, from -1 to 1.

    Args:
        distances: ``float64[n, n]``.
        groups: ``int64[n]``, the group of each point.
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


def _nearest_centres(points: Float64, centres: Float64) -> tuple[Int64, Float64]:
    """The index of each point's nearest centre, ``int64[n]``, and the squared distance to it, ``float64[n]``."""
    nearest = np.empty(len(points), dtype=np.int64)
    squares = np.empty(len(points))
    for rows in _row_blocks(points, centres):
        distances = _squared_distances(points[rows], centres)
        nearest[rows], squares[rows] = distances.argmin(axis=1), distances.min(axis=1)
    return nearest, squares


def _squared_distances(points: Float64, centres: Float64) -> Float64:
    """The squared distance of each of a few points to each centre: ``float64[n, k]``."""
    squares: Float64 = (
        np.einsum("ij,ij->i", points, points)[:, None]
        - points @ (2 * centres).T
        + np.einsum("ij,ij->i", centres, centres)
    )
    return np.maximum(squares, 0)
