"""What stands in a page: a trace or a comparison as plain values for JSON, and words for what was left out.

A page is to stay under 3 MB, whatever the text. So of a long text only the first tokens are shown, and of its attention
what there is room for. Nothing is left out in silence.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.explain.compare import Comparison
from pellucid.explain.packing import Packed, pack
from pellucid.explain.trace import Stage, Trace
from pellucid.types import Token

TOKENS = 512
"""How many tokens are shown."""
ATTENTION = 2_400_000
"""How many characters the attention may take."""
_CHARACTERS = 20_000
"""How much of a text is shown."""
_SOURCE = 80
"""How many of the characters that a token was made from are shown: one unknown word may be a megabyte."""
_CUT = 60
"""How many of the tokens that were cut off are shown."""
_ATTENTION_NUMBERS = 8_000_000
"""More numbers than these are not even tried: they cannot be packed into so few characters."""
_PAIRS = 20


def of_trace(trace: Trace, room: int = ATTENTION) -> dict[str, Any]:
    """What a page shows of a trace; its attention takes ``room`` characters at most."""
    embedding = [stage.arrays["vectors"] for stage in trace.stages if stage.name == "embedding"]
    return {
        "kind": "trace",
        **_text(trace),
        "layers": len(trace.layers),
        "hidden": trace.spec.encoder.hidden_size,
        "stages": [{"name": stage.name, "sentence": stage.sentence} for stage in trace.stages],
        "embedding": pack(embedding[0][:TOKENS], 3) if embedding else None,
        "attention": _attention(trace, room),
        "left_out": trace.left_out,
        "drift": pack(trace.drift()[:, :TOKENS], 4),
        "shares": None if trace.shares is None else pack(trace.shares[:TOKENS], 6),
        "why_no_shares": trace.why_no_shares,
        "pooled": len(trace.stage("pooling").arrays["pooled"]),
        "vector": pack(trace.vector, 6),
    }


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
    """As much attention as there is room for; None if there is none, or the trace itself has left it out."""
    layers = [(number, layer) for number, layer in enumerate(trace.layers, 1) if "attention" in layer.arrays]
    if not layers:
        return None
    heads = trace.spec.encoder.heads
    for kept, each_head, decimals in _ways(layers):
        count = (heads if each_head else 1) * len(kept) * min(TOKENS, len(trace.tokens)) ** 2
        last_way = len(kept) < len(layers)
        if count > _ATTENTION_NUMBERS and not last_way:
            continue
        packed = [pack(_map(layer, each_head=each_head), decimals) for _, layer in kept]
        if sum(len(layer["data"]) for layer in packed) <= room or last_way:
            break
    note = ""
    if not each_head:
        note = (
            f"The {len(layers)} layers have {heads} heads each: {heads * len(layers)} maps of {len(trace.tokens):,} × "
            f"{len(trace.tokens):,} numbers, too many for a page. It has the mean of the heads"
            f"{' in the last layer alone' if last_way else ' in each layer'}."
        )
    return {"heads": heads if each_head else 0, "layers": [number for number, _ in kept], "maps": packed, "note": note}


_Layers = list[tuple[int, Stage]]


def _ways(layers: _Layers) -> Iterator[tuple[_Layers, bool, int]]:
    """What to keep: which layers, whether each head or their mean, and how many decimals; the best first."""
    yield from ((layers, each_head, decimals) for each_head, decimals in itertools.product((True, False), (4, 3)))
    yield layers[-1:], False, 3


def _map(layer: Stage, *, each_head: bool) -> npt.NDArray[np.float32]:
    """``float32[heads or 1, n, n]``."""
    attention = layer.arrays["attention"][:, :TOKENS, :TOKENS]
    return attention if each_head else attention.mean(axis=0, keepdims=True)


__all__ = ["ATTENTION", "TOKENS", "Packed", "of_comparison", "of_trace"]
