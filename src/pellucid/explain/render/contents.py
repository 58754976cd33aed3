"""The data of a page about any subject, as plain values for JSON, with notes on what is missing.

A page stays under 3 MB, whatever the text. It therefore shows only the first tokens of a long text, and only as much
attention as fits. A note on the page says what is missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pellucid.explain.alignment import Alignment
from pellucid.explain.comparison import Comparison
from pellucid.explain.render.packing import pack
from pellucid.explain.render.score_contents import alignment_data, score_data, sparse_data
from pellucid.explain.render.text_contents import (
    MAX_CUT_TOKENS,
    MAX_PAIRS,
    MAX_TOKENS,
    shorten_text,
    shorten_word,
    tokens_data,
)
from pellucid.explain.score import ExplainedScore
from pellucid.explain.sentence import pairs_without_marks
from pellucid.explain.sparse import ExplainedSparseScore
from pellucid.explain.stage_sentences import layers_sentence
from pellucid.explain.text_map import PALETTE, TextMap
from pellucid.explain.trace import Stage, Trace
from pellucid.explain.words import trace_words
from pellucid.types import Float32

Subject = Trace | Comparison | ExplainedScore | ExplainedSparseScore | Alignment | TextMap

MAX_CHARACTERS = 2_750_000
"""The size limit of all data. With the page around it, and what JSON must escape, that makes 3 MB."""
_MAX_ATTENTION_NUMBERS = 8_000_000
"""More numbers than this never fit the size limit, so packing them is not even tried."""
_LINE_CHARACTERS = (300, 150, 80, 40, 20, 10, 5)
"""A map shows at most this many characters of each text: the first number with which the texts fit."""
_MAX_MAP_TEXTS_CHARACTERS = 1_800_000
_MAX_MAP_LABELS_CHARACTERS = 300_000
"""The size limits of a map's texts and of its labels. With positions, similarities and the page, that makes 3 MB."""


class _AttentionDetail(NamedTuple):
    """How much of the attention a page keeps."""

    last_layer_only: bool
    each_head: bool
    """True keeps each head and the mean of the heads; False keeps only the mean."""
    decimals: int


_ATTENTION_DETAILS = (
    _AttentionDetail(last_layer_only=False, each_head=True, decimals=4),
    _AttentionDetail(last_layer_only=False, each_head=True, decimals=3),
    _AttentionDetail(last_layer_only=False, each_head=False, decimals=4),
    _AttentionDetail(last_layer_only=False, each_head=False, decimals=3),
    _AttentionDetail(last_layer_only=True, each_head=False, decimals=3),
)
"""From most to least detail. A page takes the first one that fits; the last one always fits."""


def page_data(subject: Subject, max_characters: int = MAX_CHARACTERS) -> dict[str, Any]:
    """The data of a page about a subject of any kind. Only a trace adapts to ``max_characters``: see below."""
    if isinstance(subject, Trace):
        return trace_data(subject, max_characters)
    if isinstance(subject, ExplainedScore):
        return score_data(subject)
    if isinstance(subject, ExplainedSparseScore):
        return sparse_data(subject)
    if isinstance(subject, Alignment):
        return alignment_data(subject)
    return comparison_data(subject) if isinstance(subject, Comparison) else map_data(subject)


def trace_data(trace: Trace, max_characters: int = MAX_CHARACTERS) -> dict[str, Any]:
    """The data of a page about a trace.

    Attention is left out, step by step, until the data has at most ``max_characters`` characters as JSON. The last
    layer's mean attention always stays, so the data of a long text may still be a little larger.
    """
    embedding = [stage.arrays["vectors"] for stage in trace.stages if stage.name == "embedding"]
    data = {
        "kind": "trace",
        **_text_data(trace),
        "layers": len(trace.layers),
        "context": layers_sentence([layer.sentence for layer in trace.layers]) if trace.layers else "",
        "hidden": trace.spec.encoder.hidden_size,
        "stages": [{"name": stage.name, "sentence": stage.sentence} for stage in trace.stages],
        "embedding": pack(embedding[0][:MAX_TOKENS], 3) if embedding else None,
        "left_out": trace.left_out,
        "drift": pack(trace.drift()[:, :MAX_TOKENS], 4),
        "shares": None if trace.shares is None else pack(trace.shares[:MAX_TOKENS], 6),
        "why_no_shares": trace.why_no_shares,
        "pooled": len(trace.stage("pooling").arrays["pooled"]),
        "vector": pack(trace.vector, 6),
    }
    return data | {"attention": _attention_data(trace, max_characters - len(json.dumps(data)))}


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """The data of a page about a comparison."""
    first, second = comparison.first, comparison.second
    sides = ((first, comparison.first_shares), (second, comparison.second_shares))
    return {
        "kind": "comparison",
        "model": first.model_name,
        "sentence": comparison.sentence,
        "sides": [
            {**_text_data(trace), **_words_data(trace), "shares": pack(shares[:MAX_TOKENS], 6)}
            for trace, shares in sides
        ],
        "cosine": comparison.cosine,
        "pairs": None if comparison.pairs is None else pack(comparison.pairs[:MAX_TOKENS, :MAX_TOKENS], 6),
        "count": len(first.tokens) * len(second.tokens),
        "why_no_pairs": comparison.why_no_pairs,
        "word_pairs": _word_pairs_data(comparison),
    }


def _words_data(trace: Trace) -> dict[str, Any]:
    """The words of a text, as the characters where each starts and ends, and for each token the word it belongs to.

    A token of no word, such as a special token or one of the prompt, has None. It belongs to the frame.
    """
    words = trace_words(trace)
    word_of = {token: number for number, word in enumerate(words) for token in word.tokens}
    count = min(MAX_TOKENS, len(trace.tokens))
    shown = 1 + max((word_of[token] for token in range(count) if token in word_of), default=-1)
    prompt = len(trace.prompt)
    return {
        "words": [[word.start - prompt, word.end - prompt] for word in words[:shown]],
        "word_of": [word_of.get(token) for token in range(count)],
    }


def _word_pairs_data(comparison: Comparison) -> list[list[Any]]:
    """The strongest pairs of words, each with what it adds and with the pair of its tokens that adds most."""
    shares = comparison.word_shares
    if shares is None or comparison.pairs is None:
        return []
    data: list[list[Any]] = []
    for first, second, share in pairs_without_marks(shares, MAX_PAIRS):
        tokens = [
            [token for word in words if word.text.casefold() == name.casefold() for token in word.tokens]
            for name, words in ((first, shares.first), (second, shares.second))
        ]
        block = comparison.pairs[np.ix_(*tokens)]
        i, j = np.unravel_index(int(block.argmax()), block.shape)
        data.append([shorten_word(first), shorten_word(second), round(share, 6), tokens[0][i], tokens[1][j]])
    return data


def map_data(text_map: TextMap) -> dict[str, Any]:
    """The data of a page about a map. The texts are in the order of ``text_map.order()``: one label after the other."""
    order = text_map.order()
    labels = text_map.distinct_labels
    counts = Counter(text_map.labels)
    similarity = text_map.similarity
    texts, max_characters = _shorten_lines([text_map.texts[index] for index in order], _MAX_MAP_TEXTS_CHARACTERS)
    return {
        "kind": "map",
        "model": text_map.model_name,
        "sentence": text_map.sentence,
        "colours": text_map.colour_sentence,
        "palette": PALETTE,
        "texts": texts,
        "max_characters": max_characters,
        "labels": _shorten_lines(labels, _MAX_MAP_LABELS_CHARACTERS)[0],
        "counts": [counts[label] for label in labels],
        "plane": pack(text_map.plane[order], 5),
        "similarity": None if similarity is None else pack(similarity[np.ix_(order, order)], 3),
        "cut": pack(np.array([index in text_map.cut for index in order]), 0),
        "max_tokens": text_map.max_tokens,
    }


def _shorten_lines(texts: Sequence[str], max_characters: int) -> tuple[list[str], int]:
    """The start of each text, so that all take at most ``max_characters`` as JSON; and the length of the longest."""
    for limit in _LINE_CHARACTERS:
        lines = [text if len(text) <= limit else f"{text[:limit]}…" for text in texts]
        if len(json.dumps(lines)) <= max_characters:
            break
    return lines, limit


def _text_data(trace: Trace) -> dict[str, Any]:
    """The text of a trace, its prompt, and its tokens."""
    joined = trace.prompt + trace.text
    return {
        "model": trace.model_name,
        "prompt": shorten_text(trace.prompt),
        "text": shorten_text(trace.text),
        "normalized": "" if trace.normalized == joined else shorten_text(trace.normalized),
        "tokens": tokens_data(trace.tokens[:MAX_TOKENS], joined),
        "count": len(trace.tokens),
        "cut": tokens_data(trace.cut[:MAX_CUT_TOKENS], joined),
        "cut_count": len(trace.cut),
        # Some tokenizers cut off the start of a text, not its end.
        "cut_first": bool(trace.cut) and trace.spec.tokenizer.truncation_side == "left",
    }


def _attention_data(trace: Trace, max_characters: int) -> dict[str, Any] | None:
    """As much attention as fits; None if the trace has no attention.

    Each layer's maps are ``[1 + heads, n, n]``, the mean of the heads first; or ``[1, n, n]``, the mean alone.
    """
    layers = [(number, layer) for number, layer in enumerate(trace.layers, 1) if "attention" in layer.arrays]
    if not layers:
        return None
    heads, n = trace.spec.encoder.blocks[0].attention.heads, len(trace.tokens)
    for detail in _ATTENTION_DETAILS:
        kept = layers[-1:] if detail.last_layer_only else layers
        if len(kept) * (heads if detail.each_head else 1) * min(MAX_TOKENS, n) ** 2 > _MAX_ATTENTION_NUMBERS:
            continue
        maps = [pack(_layer_maps(layer, each_head=detail.each_head), detail.decimals) for _, layer in kept]
        if sum(len(packed["data"]) for packed in maps) <= max_characters:
            break
    notes = []
    if not detail.each_head:
        where = "of each layer" if len(kept) == len(layers) else "of the last layer"
        notes.append(
            f"The {len(layers)} layers have {heads} heads each: {heads * len(layers)} maps of {n:,} × {n:,} numbers, "
            f"too many for a page. It shows the mean of the heads {where}."
        )
    if detail.decimals < _ATTENTION_DETAILS[0].decimals:
        notes.append("To save space, attention is rounded to three decimals.")
    return {
        "heads": heads if detail.each_head else 0,
        "layers": [number for number, _ in kept],
        "maps": maps,
        "note": " ".join(notes),
    }


def _layer_maps(layer: Stage, *, each_head: bool) -> Float32:
    """The attention maps of a layer: the mean of the heads, and with ``each_head`` the heads after it."""
    attention: Float32 = layer.arrays["attention"][:, :MAX_TOKENS, :MAX_TOKENS]
    mean: Float32 = attention.mean(axis=0, keepdims=True)
    return np.concatenate([mean, attention]) if each_head else mean
