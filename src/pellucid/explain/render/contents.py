"""What stands in a page: a trace, a comparison or a map as plain values for JSON, and words for what was left out.

A page is to stay under 3 MB, whatever the text. So of a long text only the first tokens are shown, and of its attention
what there is room for. Nothing is left out in silence.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.explain.comparison import Comparison
from pellucid.explain.render.packing import pack
from pellucid.explain.text_map import PALETTE, TextMap
from pellucid.explain.trace import Stage, Trace
from pellucid.types import Float32, Token

TOKENS = 512
"""How many tokens are shown."""
ROOM = 2_750_000
"""How many characters all of it may take: with the page around it, and what JSON must escape, 3 MB."""
_CHARACTERS = 10_000
"""How much of a text is shown."""
_SOURCE = 80
"""How many of the characters that a token was made from are shown: one unknown word may be a megabyte."""
_CUT = 60
"""How many of the tokens that were cut off are shown."""
_ATTENTION_NUMBERS = 8_000_000
"""More numbers than these are not even tried: they cannot be packed into so few characters."""
_WAYS = ((False, True, 4), (False, True, 3), (False, False, 4), (False, False, 3), (True, False, 3))
"""What to keep of attention: the last layer only, each head or their mean, decimals. The last fits any page."""
_PAIRS = 20
_LINE = 300
"""How much of each of many texts is shown."""


def of(subject: Trace | Comparison | TextMap, room: int = ROOM) -> dict[str, Any]:
    """What a page shows of a subject of any kind, in ``room`` characters as far as :func:`of_trace` can."""
    if isinstance(subject, Trace):
        return of_trace(subject, room)
    return of_comparison(subject) if isinstance(subject, Comparison) else of_map(subject)


def of_trace(trace: Trace, room: int = ROOM) -> dict[str, Any]:
    """What a page shows of a trace, in ``room`` characters if leaving out attention is enough for that."""
    embedding = [stage.arrays["vectors"] for stage in trace.stages if stage.name == "embedding"]
    told = {
        "kind": "trace",
        **_text(trace),
        "layers": len(trace.layers),
        "hidden": trace.spec.encoder.hidden_size,
        "stages": [{"name": stage.name, "sentence": stage.sentence} for stage in trace.stages],
        "embedding": pack(embedding[0][:TOKENS], 3) if embedding else None,
        "left_out": trace.left_out,
        "drift": pack(trace.drift()[:, :TOKENS], 4),
        "shares": None if trace.shares is None else pack(trace.shares[:TOKENS], 6),
        "why_no_shares": trace.why_no_shares,
        "pooled": len(trace.stage("pooling").arrays["pooled"]),
        "vector": pack(trace.vector, 6),
    }
    return told | {"attention": _attention(trace, room - len(json.dumps(told)))}


def of_comparison(comparison: Comparison) -> dict[str, Any]:
    """What a page shows of a comparison."""
    first, second = comparison.first, comparison.second
    sides = ((first, comparison.first_shares), (second, comparison.second_shares))
    return {
        "kind": "comparison",
        "model": first.model_name,
        "sides": [{**_text(trace), "shares": pack(shares[:TOKENS], 6)} for trace, shares in sides],
        "cosine": comparison.cosine,
        "pairs": None if comparison.pairs is None else pack(comparison.pairs[:TOKENS, :TOKENS], 6),
        "count": len(first.tokens) * len(second.tokens),
        "why_no_pairs": comparison.why_no_pairs,
        "top": [[i, j, first.tokens[i].piece, second.tokens[j].piece, s] for i, j, s in comparison.top(_PAIRS)],
    }


def of_map(text_map: TextMap) -> dict[str, Any]:
    """What a page shows of many texts: group after group, in the order of ``text_map.order()``."""
    order = text_map.order()
    alike = text_map.similarity
    return {
        "kind": "map",
        "model": text_map.model_name,
        "sentence": text_map.sentence,
        "colours": text_map.colours,
        "palette": PALETTE,
        "texts": [_line(text_map.texts[place]) for place in order],
        "labels": [text_map.labels[place] for place in order],
        "plane": pack(text_map.plane[order], 5),
        "similarity": None if alike is None else pack(alike[np.ix_(order, order)], 3),
        "cut": [row for row, place in enumerate(order) if place in text_map.cut],
        "max_tokens": text_map.max_tokens,
    }


def _line(text: str) -> str:
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"


def _text(trace: Trace) -> dict[str, Any]:
    joined = trace.prompt + trace.text
    return {
        "model": trace.model_name,
        "prompt": _shortened(trace.prompt),
        "text": _shortened(trace.text),
        "normalized": "" if trace.normalized == joined else _shortened(trace.normalized),
        "tokens": _tokens(trace.tokens[:TOKENS], joined),
        "count": len(trace.tokens),
        "cut": _tokens(trace.cut[:_CUT], joined),
        "cut_count": len(trace.cut),
        # What is cut off may be the start.
        "cut_first": bool(trace.cut) and trace.spec.tokenizer.truncation_side == "left",
    }


def _shortened(text: str) -> str:
    left = len(text) - _CHARACTERS
    return text if left <= 0 else f"{text[:_CHARACTERS]} … and {left:,} characters more, which this page leaves out."


def _tokens(tokens: Sequence[Token], joined: str) -> list[dict[str, Any]]:
    return [vars(token) | {"source": joined[token.start : min(token.end, token.start + _SOURCE)]} for token in tokens]


def _attention(trace: Trace, room: int) -> dict[str, Any] | None:
    """As much attention as there is room for; None if there is none, or the trace itself has left it out.

    Each layer's maps are ``[1 + heads, n, n]``, the mean of the heads first; or the mean alone.
    """
    layers = [(number, layer) for number, layer in enumerate(trace.layers, 1) if "attention" in layer.arrays]
    if not layers:
        return None
    heads, n = trace.spec.encoder.blocks[0].attention.heads, len(trace.tokens)
    for last_only, each_head, decimals in _WAYS:
        kept = layers[-1:] if last_only else layers
        if len(kept) * (heads if each_head else 1) * min(TOKENS, n) ** 2 > _ATTENTION_NUMBERS:
            continue
        maps = [pack(_maps(layer, each_head=each_head), decimals) for _, layer in kept]
        if sum(len(packed["data"]) for packed in maps) <= room:
            break
    notes = []
    if not each_head:
        where = "each layer" if len(kept) == len(layers) else "the last layer"
        notes.append(
            f"The {len(layers)} layers have {heads} heads each: {heads * len(layers)} maps of {n:,} × {n:,} numbers, "
            f"too many for a page. It has the mean of the heads, in {where}."
        )
    if decimals < _WAYS[0][2]:
        notes.append("To save room, the numbers of attention are rounded to three decimals.")
    return {
        "heads": heads if each_head else 0,
        "layers": [number for number, _ in kept],
        "maps": maps,
        "note": " ".join(notes),
    }


def _maps(layer: Stage, *, each_head: bool) -> Float32:
    attention: Float32 = layer.arrays["attention"][:, :TOKENS, :TOKENS]
    mean: Float32 = attention.mean(axis=0, keepdims=True)
    return np.concatenate([mean, attention]) if each_head else mean
