"""Which texts go through the model together, in one step. Pure functions of the texts' lengths."""

from __future__ import annotations

import numpy as np

from pellucid.model.spec import EncoderSpec
from pellucid.types import Int32, Int64

FEWEST_TOKENS_IN_STEP, MOST_TOKENS_IN_STEP = 16_384, 65_536
"""The bounds of a step on a GPU, until it is out of memory. With fewer tokens, the CPU could not start kernels fast
enough; more tokens would make no kernel faster."""


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


def widest_layer(spec: EncoderSpec) -> int:
    """The length of the longest vector that a layer makes of a token."""
    widths = [
        (block.attention.heads + 2 * block.attention.kv_heads) * block.attention.head_size for block in spec.blocks
    ]
    widths += [block.feed_forward.size * (2 if block.feed_forward.gated else 1) for block in spec.blocks]
    return max(widths)


def tokens_in_cache(cache_bytes: int, bytes_per_token: int) -> int:
    """How many tokens a step should have, so that what one kernel writes is in the GPU's cache when the next reads it.

    Args:
        cache_bytes: the size of the cache.
        bytes_per_token: the size of the longest vector that a layer makes of a token.

    >>> tokens_in_cache(50 << 20, 1536 * 2)
    17066
    """
    return min(max(cache_bytes // bytes_per_token, FEWEST_TOKENS_IN_STEP), MOST_TOKENS_IN_STEP)
