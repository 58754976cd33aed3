"""Pooling: from the token vectors of a text to one vector. These lines define it, and an engine that pools by itself is
held to them.

The modes are those of sentence-transformers' ``Pooling`` module. A model chooses its modes in
``1_Pooling/config.json``. Mean pooling is described in Reimers and Gurevych, "Sentence-BERT" (2019), section 3, and the
weighted mean in Muennighoff, "SGPT" (2022), section 3.1.1.
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
        modes: keys of :data:`MODES`. The results of several modes are concatenated, in this order.
        include_prompt: True if the prompt's tokens are pooled too. If False, they still give context to the others.
    """

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True


def pool(vectors: Float32, offsets: Int32, pooling: Pooling, prompt_tokens: int = 0) -> Float32:
    """Pool the token vectors of each text.

    Args:
        vectors: ``float32[T, hidden]``, the token vectors of all texts, special tokens included.
        offsets: ``int32[B + 1]``; text ``i`` owns rows ``offsets[i]:offsets[i + 1]``.
        pooling: how the model pools.
        prompt_tokens: the number of tokens at the start of every text that belong to the prompt.

    Returns:
        ``float32[B, len(modes) * hidden]``. A text with no tokens to pool gives zeros.
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
    # The weights are 1, 2, 3, …, so later tokens count more. Skipped prompt tokens still use up the first weights.
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
"""The pooling modes by name. Each takes a text's token vectors, ``float32[n, hidden]`` with n ≥ 1, and the number of
prompt tokens that were skipped before them; it returns ``float32[hidden]``. The order is that in which
sentence-transformers concatenates several modes."""
