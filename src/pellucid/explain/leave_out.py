"""The logits of a pair without some of its tokens, as many as can be computed in a reasonable time.

The special tokens and all other tokens stay as they are. So the difference of two logits is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.explain.shares import Float64
from pellucid.layers.finish import Pool
from pellucid.model.spec import EncoderSpec, HeadSpec
from pellucid.text.padding import without_padding
from pellucid.types import Int64, TokenBatch

Key = TypeVar("Key")
Part = tuple[int, ...]
"""The places of a part's tokens in the pair."""

MAX_PRODUCTS = 4e12
"""About how many multiplications the shorter pairs may take: half a minute or so on two cores in float32."""


def token_limit(spec: EncoderSpec, length: int, max_products: float) -> int:
    """How many tokens all shorter pairs together may have: a larger model reads fewer in the same time.

    Args:
        spec: the encoder.
        length: the number of the pair's tokens, each of which looks at all others.
        max_products: about how many multiplications they may take.
    """
    products = 0
    for block in spec.blocks:
        attention, feed_forward = block.attention, block.feed_forward
        matrices = (
            2 * (attention.query_size + attention.key_size) + (3 if feed_forward.gated else 2) * feed_forward.size
        )
        products += spec.hidden_size * matrices + 2 * length * attention.query_size
    return int(max_products / max(1, products))


def choose_groups(groups: Mapping[Key, Sequence[Part]], length: int, limit: int) -> tuple[list[Key], dict[Key, int]]:
    """Choose the groups of parts that can be left out, part by part, without reading more than ``limit`` tokens.

    Args:
        groups: groups of parts, the most important first.
        length: the number of the pair's tokens.
        limit: how many tokens the shorter pairs may have together. A part of several groups is left out once.

    Returns:
        The groups that were chosen; and the others, with the number of tokens that each would have taken.
    """
    seen: set[Part] = set()
    total = 0
    chosen: list[Key] = []
    others: dict[Key, int] = {}
    for key, group in groups.items():
        new = set(group) - seen
        tokens = sum(length - len(part) for part in new)
        if total + tokens > limit:
            others[key] = tokens
        else:
            chosen.append(key)
            total, seen = total + tokens, seen | new
    return chosen, others


def logits_without(encoder: Encoder, pair: TokenBatch, head: HeadSpec, parts: Sequence[Part]) -> Float64:
    """The logits of a pair without each of some parts, in one call of the engine. Equal pairs are computed once.

    Args:
        encoder: the model; its head has one label.
        pair: the pair, as a batch of one text.
        head: what the model's files say about its head.
        parts: the parts; ``()`` for the whole pair.

    Returns:
        ``float64[len(parts)]``, the same numbers as in float32.

    Raises:
        InvalidModelError: the model gave NaN or infinity.
    """
    segments = np.zeros(len(pair.ids), np.int8) if pair.segments is None else pair.segments
    numbers: dict[tuple[bytes, bytes], int] = {}  # Without either of two equal neighbours, the pair is the same.
    kept: list[Int64] = []
    which: list[int] = []
    for part in parts:
        places = np.delete(np.arange(len(pair.ids)), np.array(part, dtype=np.int64))
        number = numbers.setdefault((pair.ids[places].tobytes(), segments[places].tobytes()), len(kept))
        which.append(number)
        if number == len(kept):
            kept.append(places)
    batch = TokenBatch.from_sequences([pair.ids[places] for places in kept])
    if pair.segments is not None:
        batch = replace(batch, segments=np.concatenate([segments[places] for places in kept]))
    if head.padding_id is not None:
        batch = without_padding(batch, head.padding_id)
    finish = Pool(head.pooling, encoder.head)
    logits = encoder.run(batch, finish)
    finish.check(logits, lambda _: 0)
    return logits[which, 0].astype(np.float64)
