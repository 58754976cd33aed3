"""Which texts go through the engine together. Pure functions of the texts' lengths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.types import Int32, Int64


def plan(lengths: Int32, tokens_per_call: int, *, sort: bool = True) -> Iterator[Int64]:
    """Split texts into engine calls, longest text first, or in their order.

    Longest first has two advantages. The first call needs the most memory, so if it fits, every later call fits too.
    And each call gets texts of similar length. Texts of equal length keep the input order, so a plan is reproducible.

    Args:
        lengths: ``int32[B]``, the number of tokens of each text.
        tokens_per_call: the most tokens in one call. A text that is longer than this gets a call of its own.
        sort: False to keep the texts' order.

    Yields:
        ``int64[n]``, the indices of the texts in one call. Every text is in exactly one call.

    >>> [call.tolist() for call in plan(np.array([3, 9, 4], dtype=np.int32), tokens_per_call=8)]
    [[1], [2, 0]]
    """
    if len(lengths) == 1:  # A query. For a single short text, even the sorting below would take noticeable time.
        yield np.zeros(1, dtype=np.int64)
        return
    order = np.argsort(-lengths.astype(np.int64), kind="stable") if sort else np.arange(len(lengths))
    ends = np.cumsum(lengths[order], dtype=np.int64)
    start, planned_tokens = 0, 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, planned_tokens + tokens_per_call, side="right")))
        yield order[start:stop]
        start, planned_tokens = stop, int(ends[stop - 1])
