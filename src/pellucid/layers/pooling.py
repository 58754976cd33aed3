"""From token vectors to one vector a text: once, for every engine.

The modes are those of sentence-transformers' ``Pooling`` module, read from ``1_Pooling/config.json``. Mean pooling
is that of Reimers and Gurevych, "Sentence-BERT" (2019), section 3; the weighted mean is that of Muennighoff, "SGPT"
(2022), section 3.1.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pellucid.types import Float32, Int32


@dataclass(frozen=True)
class Pooling:
    """How a model pools.

    Attributes:
        modes: keys of :data:`MODES`; the results of several are laid side by side, in this order.
        include_prompt: whether the prompt's tokens count. If not, they still give context to the others.
    """

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True


def pool(vectors: Float32, offsets: Int32, pooling: Pooling, prompt_tokens: int = 0) -> Float32:
    """Pool the token vectors of each text.

    Args:
        vectors: ``float32[T, hidden]``, the token vectors of all texts, special tokens included.
        offsets: ``int32[B + 1]``; text ``i`` owns rows ``offsets[i]:offsets[i + 1]``.
        pooling: the model's modes.
        prompt_tokens: how many tokens at the start of every text belong to the prompt.

    Returns:
        ``float32[B, len(modes) * hidden]``. A text without tokens gives zeros.
    """
    skip = 0 if pooling.include_prompt else prompt_tokens
    hidden = vectors.shape[1]
    pooled = np.zeros((len(offsets) - 1, len(pooling.modes) * hidden), dtype=np.float32)
    for text, (start, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        if start + skip < end:
            rows = vectors[start + skip : end]
            for k, mode in enumerate(pooling.modes):
                pooled[text, k * hidden : (k + 1) * hidden] = MODES[mode](rows, skip)
    return pooled


def _weighted_mean(rows: Float32, skip: int) -> Float32:
    # Later tokens weigh more: 1, 2, 3, …, and a prompt that is left out keeps its places.
    weights = np.arange(skip + 1, skip + len(rows) + 1, dtype=np.float32)
    weighted: Float32 = (weights[:, None] * rows).sum(axis=0) / weights.sum()
    return weighted


def _mean(rows: Float32, _skip: int) -> Float32:
    mean: Float32 = rows.sum(axis=0) / np.float32(len(rows))
    return mean


def _mean_sqrt_len(rows: Float32, _skip: int) -> Float32:
    scaled: Float32 = rows.sum(axis=0) / np.sqrt(np.float32(len(rows)))
    return scaled


def _max(rows: Float32, _skip: int) -> Float32:
    largest: Float32 = rows.max(axis=0)
    return largest


def _cls(rows: Float32, _skip: int) -> Float32:
    first: Float32 = rows[0]
    return first


def _last_token(rows: Float32, _skip: int) -> Float32:
    last: Float32 = rows[-1]
    return last


MODES: dict[str, Callable[[Float32, int], Float32]] = {
    "cls": _cls,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_sqrt_len,
    "weightedmean": _weighted_mean,
    "lasttoken": _last_token,
}
"""Each mode: ``(rows float32[n, hidden], prompt tokens left out) → float32[hidden]``, for n ≥ 1. Listed in the order
in which sentence-transformers lays several side by side."""
