"""Which texts go through the model together, in one step. Pure functions of the texts' lengths."""

from __future__ import annotations

import numpy as np

from pellucid.types import Int32, Int64


def longest_first(lengths: Int32) -> Int64:
    """The indices of the texts that have tokens, longest text first: ``int64[n]``."""
    return np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]


def end_of_step(lengths: Int32, start: int, max_tokens: int, min_length_ratio: float) -> int:
    """Find the end of the step that begins with text ``start``.

    Args:
        lengths: the lengths of the texts, longest first: ``int32[n]``.
        start: the index in ``lengths`` of the step's first text.
        max_tokens: the most tokens in a step, with every text padded to the longest one. A single text may have more.
        min_length_ratio: every text of the step is at least this fraction of the length of the longest.

    Returns:
        The index after the step's last text.

    >>> end_of_step(np.array([9, 4, 3, 3, 3]), 2, max_tokens=8, min_length_ratio=1.0)
    4
    """
    longest = int(lengths[start])
    end_of_similar = int(np.searchsorted(-lengths, -min_length_ratio * longest, side="right"))
    return min(end_of_similar, start + max(1, max_tokens // longest))


def tokens_of(texts: Int64, offsets: Int32) -> Int64:
    """The indices of all tokens of some texts, text after text.

    Args:
        texts: the indices of the texts, ``int64[n]``.
        offsets: ``int32[B + 1]``; text ``i`` owns the tokens from ``offsets[i]`` to ``offsets[i + 1] - 1``.

    >>> tokens_of(np.array([2, 0]), np.array([0, 2, 5, 8], dtype=np.int32)).tolist()
    [5, 6, 7, 0, 1]
    """
    starts = offsets[texts].astype(np.int64)
    lengths = offsets[texts + 1] - offsets[texts]
    ends = np.cumsum(lengths, dtype=np.int64)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
