"""In which order, and how many at a time, texts go through the engine. Pure functions of lengths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.types import Int32, Int64


def plan(lengths: Int32, tokens_per_call: int) -> Iterator[Int64]:
    """Split texts into engine calls, longest text first.

    Longest first, because the first call then needs the most memory (what fits once always fits) and because
    texts of like length are worked on together. Ties keep the input order, so a plan is reproducible.

    Args:
        lengths: ``int32[B]``, tokens of each text.
        tokens_per_call: a call holds at most this many tokens, or one single longer text.

    Yields:
        ``int64[n]``, the indices of one call's texts. Every text is in exactly one call.

    >>> [call.tolist() for call in plan(np.array([3, 9, 4], dtype=np.int32), tokens_per_call=8)]
    [[1], [2, 0]]
    """
    if len(lengths) == 1:  # A query; for one short text, even what follows counts.
        yield np.zeros(1, dtype=np.int64)
        return
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    ends = np.cumsum(lengths[order], dtype=np.int64)
    start, used = 0, 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(ends, used + tokens_per_call, side="right")))
        yield order[start:stop]
        start, used = stop, int(ends[stop - 1])
