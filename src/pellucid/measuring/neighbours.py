"""How far models agree on which texts are near to which. Arrays in, arrays out.

Each model names, for each text, the k others whose vectors have the highest cosine with its own. The agreement of two
models is the part of those k that both name, |A ∩ B| / k, averaged over the texts. It needs no labels, and vectors of
any two widths can be held against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.errors import OptionError

Float64 = npt.NDArray[np.float64]

TIE = 1e-6
"""Cosines as close as this are the same, as far as vectors in float32 can say."""
_NUMBERS_PER_BLOCK = 1 << 21


def most_neighbours(wanted: int, texts: int) -> int:
    """How many neighbours to compare: not more than half of the other texts, or all models would agree by chance."""
    return min(wanted, (texts - 1) // 2)


def agreement(vectors: Sequence[npt.NDArray[Any]], k: int, *, block: int = _NUMBERS_PER_BLOCK) -> Float64:
    """The mean agreement of each two models on the k nearest other texts of each text.

    Texts that tie for the last of the k places share those places: of two copies of a text that tie for one place, each
    counts a half. So nothing depends on the order of the texts, and a model agrees with itself entirely.

    Args:
        vectors: of each model, ``[n, d]``; row i of each is of the same text, and widths may differ.
        k: how many neighbours, from 1 to n - 1.
        block: how many cosines to hold at a time; beside them, memory is that of the vectors in float64.

    Returns:
        ``float64[m, m]``, symmetric, from 0 to 1. Models that know nothing of each other have k / (n - 1).

    Raises:
        OptionError: ``k`` is out of its range, or the models have different numbers of texts.

    >>> a = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> agreement([a, 2 * a, a[[0, 2, 1, 3]]], k=1)
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]])
    """
    count = len(vectors[0])
    if any(len(of_model) != count for of_model in vectors):
        raise OptionError("the models have vectors of different numbers of texts.")
    if not 1 <= k < count:
        raise OptionError(f"{k} neighbours of each of {count} texts: there are {max(0, count - 1)} others.")
    unit = [_unit(of_model) for of_model in vectors]
    total = np.zeros((len(unit), len(unit)))
    rows = max(1, block // count)
    for start in range(0, count, rows):
        places = [_places(of_model, start, min(start + rows, count), k) for of_model in unit]
        for a, of_a in enumerate(places):
            for b, of_b in enumerate(places[: a + 1]):
                total[a, b] += np.minimum(of_a, of_b).sum()
    lower = np.tril(total) / (count * k)
    return np.clip(lower + np.tril(lower, -1).T, 0, 1)  # Thirds do not add up to the last bit.


def _unit(vectors: npt.NDArray[Any]) -> Float64:
    """Rows of unit length; a row of zeros stays one, and is equally far from all."""
    wide = vectors.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: Float64 = np.divide(wide, norms, out=wide, where=norms > 0)
    return unit


def _places(unit: Float64, start: int, end: int, k: int) -> Float64:
    """Which texts are the k nearest of texts ``start`` to ``end``: ``[end - start, n]``, each row of sum k.

    1 for those that are, 0 for those that are not, and what is left over is shared by those that tie for it.
    """
    cosines = unit[start:end] @ unit.T
    cosines[np.arange(end - start), np.arange(start, end)] = -np.inf  # A text is not its own neighbour.
    last = np.partition(cosines, -k, axis=1)[:, -k, None]
    ahead = cosines > last + TIE
    tied = (cosines >= last - TIE) & ~ahead
    left = k - ahead.sum(axis=1, keepdims=True)
    places: Float64 = ahead + tied * (left / tied.sum(axis=1, keepdims=True))
    return places
