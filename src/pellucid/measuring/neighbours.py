"""How far models agree about which texts are similar. Functions here take arrays and return arrays.

For each text, each model picks the k other texts whose vectors have the highest cosine with the text's own vector. The
agreement of two models is the share of texts that both pick, |A ∩ B| / k, averaged over all texts. It needs no labels,
and it can compare models whose vectors have different lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import OptionError

Float64 = npt.NDArray[np.float64]

TIE = 1e-6
"""Cosines that differ by no more than this count as equal: float32 vectors are not more exact."""
_NUMBERS_PER_BLOCK = 1 << 21


def cap_neighbours(requested: int, texts: int) -> int:
    """Limit the number of neighbours to half of the other texts. With more, all models would agree by chance."""
    return min(requested, (texts - 1) // 2)


def agreement(vectors: Sequence[npt.NDArray[Any]], k: int, *, block: int = _NUMBERS_PER_BLOCK) -> Float64:
    """Compute how far each pair of models agrees on the k nearest other texts of each text, on average.

    If several texts tie for the last of the k places, they share the places that are left: two copies of a text that
    tie for one place count one half each. So the order of the texts does not matter, and every model agrees with itself
    completely.

    Args:
        vectors: for each model an array ``[n, d]``. Row i is the vector of the same text in every array; d may differ.
        k: the number of neighbours, from 1 to n - 1.
        block: how many cosines to compute at a time. The other large arrays are the vectors in float64.

    Returns:
        ``float64[m, m]``, symmetric, from 0 to 1. Unrelated models agree by k / (n - 1).

    Raises:
        OptionError: ``k`` is out of range, or the models have different numbers of texts.

    >>> a = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> agreement([a, 2 * a, a[[0, 2, 1, 3]]], k=1)
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]])
    """
    count = len(vectors[0])
    if any(len(matrix) != count for matrix in vectors):
        raise OptionError("the models have embedded different numbers of texts.")
    if not 1 <= k < count:
        others = max(0, count - 1)
        raise OptionError(f"k={k} must be at least 1, and at most {others}, the number of other texts.", "k")
    unit_vectors = [_unit(matrix) for matrix in vectors]
    total = np.zeros((len(unit_vectors), len(unit_vectors)))
    rows = max(1, block // count)
    for start in range(0, count, rows):
        picks = [_pick_neighbours(unit, start, min(start + rows, count), k) for unit in unit_vectors]
        for a, picks_a in enumerate(picks):
            for b, picks_b in enumerate(picks[: a + 1]):
                total[a, b] += np.minimum(picks_a, picks_b).sum()
    lower = np.tril(total) / (count * k)
    return np.clip(lower + np.tril(lower, -1).T, 0, 1)  # Rounding can bring a sum of shares slightly above 1.


def _unit(vectors: npt.NDArray[Any]) -> Float64:
    """Scale rows to unit length. A row of zeros stays as it is, and is equally far from all others."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: Float64 = np.divide(wide, norms, out=wide, where=norms > 0)
    return unit


def _pick_neighbours(unit: Float64, start: int, end: int, k: int) -> Float64:
    """Pick the k nearest texts of each of the texts ``start`` to ``end``.

    Returns:
        ``float64[end - start, n]``: 1 for a text that is picked, 0 for one that is not, and an equal share for each of
        those that tie for the places that are left. Each row sums to k.
    """
    cosines = unit[start:end] @ unit.T
    cosines[np.arange(end - start), np.arange(start, end)] = -np.inf  # A text is not its own neighbour.
    kth_largest = np.partition(cosines, -k, axis=1)[:, -k, None]
    nearer = cosines > kth_largest + TIE
    tied = (cosines >= kth_largest - TIE) & ~nearer
    places_left = k - nearer.sum(axis=1, keepdims=True)
    picks: Float64 = nearer + tied * (places_left / tied.sum(axis=1, keepdims=True))
    return picks
