"""Which texts go through a model together. Pure functions of lengths."""

from __future__ import annotations

import numpy as np

from pellucid.types import Int32, Int64


def longest_first(lengths: Int32) -> Int64:
    """The texts that have tokens, longest first: ``int64[n]``."""
    return np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]


def end_of_step(lengths: Int32, start: int, tokens: int, least_share: float) -> int:
    """Where the step ends that begins with text ``start``.

    Args:
        lengths: of texts, longest first: ``int32[n]``.
        start: a place in it.
        tokens: how many a step may have at most, counted as if each text were as long as its longest. A single text may
            have more.
        least_share: how long the shortest text of a step is, at least, beside the longest.

    >>> end_of_step(np.array([9, 4, 3, 3, 3]), 2, tokens=8, least_share=1.0)
    4
    """
    longest = int(lengths[start])
    like = int(np.searchsorted(-lengths, -least_share * longest, side="right"))
    return min(like, start + max(1, tokens // longest))
