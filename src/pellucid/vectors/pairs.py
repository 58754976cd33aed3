"""The pairs of vectors with the highest scores, while blocks of scores arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.types import Int64
from pellucid.vectors.best import best_of_block

_ROOM = 1 << 20
"""At least so many new pairs arrive before the useless ones among them are dropped."""
_CROWD = 2
"""If a block has more useful pairs than this for each neighbour that it may add, the others are dropped at once."""

Scores = npt.NDArray[np.floating[Any]]


class BestPairs:
    """The pairs with the highest scores, each once.

    A pair counts only if one of the two is among the ``neighbours`` that score highest with the other. Memory is
    bounded by the number of pairs to keep, not by the number of scores.

    Args:
        count: the number of vectors.
        limit: how many pairs to keep, at least 1.
        neighbours: how many neighbours of a vector count, at least 1.
        dtype: the type of the scores.

    >>> best = BestPairs(3, limit=2, neighbours=1)
    >>> best.offer(slice(0, 3), slice(0, 3), np.array([[1, 0.7, 0.6], [0.7, 1, 0.5], [0.6, 0.5, 1]], dtype=np.float32))
    >>> best.as_arrays()
    (array([0.7, 0.6], dtype=float32), array([0, 0]), array([1, 2]))
    """

    def __init__(self, count: int, limit: int, neighbours: int, dtype: npt.DTypeLike = np.float32) -> None:
        self._count = count
        self._limit = limit
        self._neighbours = neighbours
        self._keys: list[Int64] = [np.empty(0, dtype=np.int64)]  # first * count + second
        self._scores: list[Scores] = [np.empty(0, dtype=dtype)]
        self._held = 0
        self._room = _ROOM
        # A score up to this is of no use to a vector. NaN if any score may be of use.
        self._least: Scores = np.full(count, np.nan, dtype=dtype)

    def offer(self, rows: slice, columns: slice, scores: Scores) -> None:
        """Take the scores of a block of pairs.

        Each pair must be offered once. The blocks of the first rows come first, from left to right.

        Args:
            rows: the first vector of each pair.
            columns: the second vector of each pair: the same as ``rows``, or all after ``rows``. If they are the same,
                the block has each pair twice, and each vector with itself, which are no pairs.
            scores: floats without NaN, ``[r, c]``.
        """
        least = np.minimum(self._least[rows].min(), self._least[columns].min())
        useful = ~(scores <= least)  # One fast comparison leaves few scores to look at. With NaN, it leaves all.
        if rows == columns:
            useful &= np.tri(len(scores), k=-1, dtype=np.bool_).T
        if np.count_nonzero(useful) > _CROWD * self._neighbours * sum(scores.shape):
            useful &= self._near(scores, alone=rows == columns)
        places = np.flatnonzero(useful)  # Much faster than nonzero(), which gives rows and columns.
        found = scores.ravel()[places]
        first, second = np.divmod(places, scores.shape[1])
        first, second = first + rows.start, second + columns.start
        useful = ~((found <= self._least[first]) & (found <= self._least[second]))
        self._keys.append(first[useful] * self._count + second[useful])
        self._scores.append(found[useful])
        self._held += len(self._keys[-1])
        if self._held > self._room:
            self._drop()
            self._room = 2 * self._held + _ROOM

    def as_arrays(self) -> tuple[Scores, Int64, Int64]:
        """The pairs, the highest score first. Of equal scores, the lower positions come first.

        Returns:
            Their scores, ``[m]``, and the positions of both vectors, ``int64[m]`` each, the lower one first.
        """
        self._drop()
        first, second = np.divmod(self._keys[0][: self._limit], self._count)
        return self._scores[0][: self._limit], first, second

    def _near(self, scores: Scores, *, alone: bool) -> npt.NDArray[np.bool_]:
        """Which pairs of a block are near: one is among the best neighbours of the other in this block."""
        neighbours = self._neighbours + alone  # A vector may be its own neighbour there.
        near: npt.NDArray[np.bool_] = best_of_block(scores, neighbours)
        near |= best_of_block(np.ascontiguousarray(scores.T), neighbours).T
        return near

    def _drop(self) -> None:
        """Sort the pairs, the best first, and drop those that cannot be among the best in the end."""
        keys, scores = np.concatenate(self._keys), np.concatenate(self._scores)
        order = np.lexsort((keys, -scores))
        keys, scores = keys[order], scores[order]
        # Later pairs may push a pair out of the neighbours of both its vectors. But the neighbours that a vector has
        # above a score do not get fewer. A pair has two vectors. So if the neighbours above a score are twice as many
        # as the pairs to keep, there will be enough pairs above it, whatever comes.
        looked_at = 2 * self._limit  # Often, few of the pairs need a look.
        while (uses := self._uses(keys[:looked_at], scores[:looked_at])).sum() < 2 * self._limit:
            if looked_at >= len(keys):
                break
            looked_at *= 2
        useful = np.flatnonzero(uses)
        total = np.cumsum(uses[useful])
        if len(total) and total[-1] >= 2 * self._limit:
            useful = useful[: 1 + np.searchsorted(total, 2 * self._limit)]
            self._least = np.fmax(self._least, scores[useful[-1]])
        self._keys, self._scores, self._held = [keys[useful]], [scores[useful]], len(useful)

    def _uses(self, keys: Int64, scores: Scores) -> Int64:
        """How many of its two vectors have each pair among their best neighbours: 0, 1 or 2. The best pair comes first.

        Remembers the score of each vector's last neighbour.
        """
        vectors = np.stack(np.divmod(keys, self._count), axis=1).ravel()
        counts = np.bincount(vectors, minlength=self._count)
        # Only vectors that have enough neighbours can have too many. `places` are those of their pairs in `vectors`.
        places = np.flatnonzero(counts[vectors] >= self._neighbours)
        places = places[np.argsort(vectors[places], kind="stable")]
        vectors = vectors[places]
        starts = np.flatnonzero(np.diff(vectors, prepend=-1))
        ranks = np.arange(len(vectors)) - np.repeat(starts, np.diff(starts, append=len(vectors)))
        last = ranks == self._neighbours - 1
        self._least[vectors[last]] = np.fmax(self._least[vectors[last]], scores[places[last] // 2])
        return 2 - np.bincount(places[ranks >= self._neighbours] // 2, minlength=len(keys))
