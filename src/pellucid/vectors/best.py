"""The largest values: of one row, or of many rows that arrive a block of columns at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.types import Int64

_CROWD = 8
"""If a block has more candidates than this times ``k`` for each row, they are cut down before they are sorted."""


def largest(values: npt.NDArray[np.floating[Any]], k: int) -> Int64:
    """The positions of the ``k`` largest values, largest first. Of equal values, the first comes first."""
    k = min(k, len(values))
    candidates = np.flatnonzero(values >= np.partition(values, -k)[-k])
    return candidates[np.argsort(-values[candidates], kind="stable")[:k]]


class BestOfRows:
    """The ``k`` best scores of each row, while blocks of columns arrive from left to right.

    Once a row has ``k`` scores, a block costs one comparison for each of its scores. Only the few that are better than
    the row's worst are sorted.

    Args:
        rows: the number of rows.
        k: how many scores to keep for each row, at least 1 and at most the number of all columns.
        dtype: the type of the scores.
        least: scores up to this are of no use. -infinity if any score is.

    Attributes:
        scores: ``[rows, k]``, the best first. Of equal scores, that of the lower column comes first.
        columns: ``int64[rows, k]``, their columns; -1 where a row has fewer than ``k`` useful scores.

    >>> best = BestOfRows(1, k=2)
    >>> best.offer(0, np.array([[0.1, 0.7, 0.3]], dtype=np.float32))
    >>> best.offer(3, np.array([[0.2, 0.5]], dtype=np.float32))
    >>> best.columns, best.scores
    (array([[1, 4]]), array([[0.7, 0.5]], dtype=float32))
    """

    def __init__(self, rows: int, k: int, dtype: npt.DTypeLike = np.float32, *, least: float = -np.inf) -> None:
        self._k = k
        self.scores: npt.NDArray[Any] = np.full((rows, k), least, dtype=dtype)
        self.columns: Int64 = np.full((rows, k), -1, dtype=np.int64)

    def offer(self, first: int, scores: npt.NDArray[Any], rows: slice = slice(None)) -> None:
        """Take the next block.

        Args:
            first: the column of the block's first scores. It is higher than all that these rows were offered before.
            scores: floats without NaN, ``[r, s]``.
            rows: the ``r`` rows that the block belongs to.
        """
        held_scores, held_columns = self.scores[rows], self.columns[rows]
        better = scores > held_scores[:, -1:]
        better[held_scores[:, -1] == -np.inf] = True  # These rows may have room, even for a score of -infinity.
        if np.count_nonzero(better) > _CROWD * self._k * len(scores):
            better &= best_of_block(scores, self._k)
        places = np.flatnonzero(better)  # Much faster than nonzero(), which gives rows and columns.
        if not len(places):
            return
        row, column = np.divmod(places, scores.shape[1])
        changed, new_row = np.unique(row, return_inverse=True)
        # The scores that are held and the new ones, sorted by row, then by score, then by column.
        all_rows = np.concatenate([np.repeat(np.arange(len(changed)), self._k), new_row])
        all_scores = np.concatenate([held_scores[changed].ravel(), scores[row, column]])
        all_columns = np.concatenate([held_columns[changed].ravel(), column + first])
        # Read as a number without a sign, -1 is the largest: no column comes after all columns.
        order = np.lexsort((all_columns.view(np.uint64), -all_scores, all_rows))
        starts = np.searchsorted(all_rows[order], np.arange(len(changed)))
        chosen = order[starts[:, None] + np.arange(self._k)]
        held_scores[changed], held_columns[changed] = all_scores[chosen], all_columns[chosen]


def best_of_block(scores: npt.NDArray[Any], k: int) -> npt.NDArray[np.bool_]:
    """Which scores of a block are among the ``k`` best of their row. Of equal scores, the first ones count."""
    if scores.shape[1] <= k:
        return np.ones(scores.shape, dtype=np.bool_)
    least = np.partition(scores, -k, axis=1)[:, -k, None]
    above = scores > least
    equal = scores == least
    room = k - np.count_nonzero(above, axis=1)
    if np.count_nonzero(equal) > room.sum():
        equal &= np.cumsum(equal, axis=1) <= room[:, None]
    chosen: npt.NDArray[np.bool_] = above | equal
    return chosen
