"""Near duplicates: vectors that are almost the same as one that comes before them."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.errors import OptionError
from pellucid.types import Float32, Int64
from pellucid.vectors.blocks import COSINE_ROWS, blocks
from pellucid.vectors.checks import unit_vectors
from pellucid.vectors.similarity import most_similar_rows

ROUNDING = 1e-6
"""Cosines of float32 vectors are not more exact than this. So the same vector twice reaches a threshold of 1."""


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """Which vectors to keep, and which are near duplicates of those.

    Attributes:
        original: ``int64[n]``: for each vector, the kept vector that it duplicates; its own index if it is kept itself.
        cosine: ``float32[n]``: the cosine of each vector with its original; 1 if it is kept.
    """

    original: Int64
    cosine: Float32

    @property
    def kept(self) -> Int64:
        """The indices of the vectors to keep, in order."""
        return np.flatnonzero(self.original == np.arange(len(self.original)))

    @property
    def removed(self) -> Int64:
        """The indices of the near duplicates, in order."""
        return np.flatnonzero(self.original != np.arange(len(self.original)))

    def groups(self) -> list[Int64]:
        """Each kept vector that has near duplicates, followed by them. The groups are in the order of the kept."""
        order = np.argsort(self.original, kind="stable")
        starts = np.flatnonzero(np.diff(self.original[order], prepend=-1))
        return [group for group in np.split(order, starts[1:]) if len(group) > 1]

    def __repr__(self) -> str:
        return f"NearDuplicates({len(self.kept):,} kept, {len(self.removed):,} removed)"


def near_duplicates(vectors: npt.ArrayLike, threshold: float = 0.95) -> NearDuplicates:
    """Find the vectors that are nearly the same as an earlier one. The result is exact: no pair is missed.

    The vectors are looked at in order. If a vector's cosine with a kept vector reaches ``threshold``, it is a near
    duplicate of the kept vector that is most similar to it. Otherwise it is kept. So no two kept vectors reach the
    threshold, every duplicate reaches it with its original, and duplicates of duplicates form no chains.

    Args:
        vectors: floats, ``[n, d]``, of any length. Put the vectors that you would rather keep first.
        threshold: a cosine above 0, up to 1. With 1, only the same direction counts, up to float32's rounding (1e-6).

    Raises:
        InputError: the shape is wrong, or a number is not a finite float.
        OptionError: ``threshold`` is out of range.

    >>> found = near_duplicates([[1.0, 0.0], [0.0, 1.0], [1.0, 0.01]], threshold=0.9)
    >>> found.kept, found.removed, found.original
    (array([0, 1]), array([2]), array([0, 1, 0]))
    """
    check_threshold(threshold)
    unit = unit_vectors("vectors", vectors)
    limit = np.float32(threshold - ROUNDING)
    original = np.arange(len(unit))
    cosine = np.ones(len(unit), dtype=np.float32)
    kept = np.empty(len(unit), dtype=np.int64)
    count = 0
    for rows in blocks(len(unit), COSINE_ROWS):
        block = unit[rows].copy()  # Kept vectors move to the front of ``unit``, where products are fast.
        best, where = most_similar_rows(block, unit[:count])
        within, first = block @ block.T, count
        for row in range(len(block)):
            recent = kept[first:count] - rows.start  # Those of this block that are kept.
            if len(recent) and (largest := within[row, recent].max()) > best[row]:
                best[row], where[row] = largest, first + within[row, recent].argmax()
            if best[row] >= limit:
                original[rows.start + row], cosine[rows.start + row] = kept[where[row]], min(best[row], 1)
            else:
                kept[count], unit[count] = rows.start + row, block[row]
                count += 1
    return NearDuplicates(original, cosine)


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is not above 0 and up to 1.

    Raises:
        OptionError: it is out of range.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.floating)) or not 0 < threshold <= 1:
        value = reprlib.repr(threshold)
        raise OptionError(f"threshold={value} must be above 0, and at most 1: it is a cosine.", "threshold")
