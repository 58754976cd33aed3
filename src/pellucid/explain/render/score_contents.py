"""The data of a page about why a document has its score: of a reranker, of sparse vectors, or by MaxSim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.errors import plural
from pellucid.explain.alignment import AlignedText, Alignment
from pellucid.explain.pair import PairText
from pellucid.explain.render.packing import Packed, pack
from pellucid.explain.render.text_contents import (
    MAX_CUT_TOKENS,
    MAX_PAIRS,
    MAX_TEXT_CHARACTERS,
    MAX_TOKENS,
    shorten_text,
    shorten_word,
    tokens_data,
)
from pellucid.explain.score import Changes, ExplainedScore
from pellucid.explain.score_sentence import cut_notes, strongest_words
from pellucid.explain.shares import Float64
from pellucid.explain.sparse import ExplainedSparseScore, SparseText, Term
from pellucid.types import Int64

_MAX_PAIR_ATTENTION_CHARACTERS = 1_800_000
"""The size limit of the attention between two texts. With the texts and the page, that makes 3 MB."""
_MAX_ALIGNED_CHARACTERS = 60_000
"""A page shows at most this many characters of a document whose found tokens it marks."""
_MAX_TERMS = 40
"""A page shows at most this many terms of a text, or of two texts in common."""


def score_data(explained: ExplainedScore) -> dict[str, Any]:
    """The data of a page about a score."""
    sides = ((explained.query, explained.query_changes), (explained.document, explained.document_changes))
    return {
        "kind": "score",
        "model": explained.model_name,
        "score": explained.score,
        "logit": explained.logit,
        "activation": explained.activation,
        "sentence": explained.sentence,
        "sides": [_pair_text_data(*side) for side in sides],
        "attention": _pair_attention_data(explained),
        "notes": [*cut_notes(explained), *filter(None, [explained.left_out])],
    }


def sparse_data(explained: ExplainedSparseScore) -> dict[str, Any]:
    """The data of a page about a score of sparse vectors."""
    shown, rest = explained.matches[:_MAX_TERMS], explained.matches[_MAX_TERMS:]
    of_query = [(match.in_query, match.product) for match in explained.matches]
    of_document = [(match.in_document, match.product) for match in explained.matches]
    return {
        "kind": "sparse",
        "model": explained.model_name,
        "score": explained.score,
        "sentence": explained.sentence,
        "matches": [
            {
                "piece": shorten_word(match.piece),
                "product": round(match.product, 6),
                "raised_by": [match.in_query.raised_by, match.in_document.raised_by],
            }
            for match in shown
        ],
        "more": len(rest),
        "rest": sum(match.product for match in rest),
        "sides": [_sparse_text_data(explained.query, of_query), _sparse_text_data(explained.document, of_document)],
        "notes": [
            f"{plural(text.cut, 'token')} of the {name} were cut off."
            for name, text in (("query", explained.query), ("document", explained.document))
            if text.cut
        ],
    }


def _sparse_text_data(text: SparseText, products: Sequence[tuple[Term, float]]) -> dict[str, Any]:
    """A text, and for each of its tokens what the terms that it raised add to the score."""
    adds = np.zeros(len(text.tokens))
    for term, product in products:
        adds[term.raised_by] += product
    return {
        "prompt": shorten_text(text.prompt),
        "text": shorten_text(text.text),
        "tokens": tokens_data(text.tokens[:MAX_TOKENS], text.prompt + text.text),
        "count": len(text.tokens),
        "cut": [],
        "cut_count": 0,
        "cut_first": False,
        "adds": pack(adds[:MAX_TOKENS], 6),
        "terms": [[shorten_word(term.piece), round(term.weight, 6)] for term in text.terms[:_MAX_TERMS]],
        "term_count": len(text.terms),
    }


def alignment_data(alignment: Alignment) -> dict[str, Any]:
    """The data of a page about an alignment.

    Of a long document, it has the tokens that were found, and as many of the first ones as fit.
    """
    rows = np.arange(min(len(alignment.query.tokens), MAX_TOKENS))
    matches = alignment.matches[rows] if len(alignment.matches) else alignment.matches
    found = np.unique(matches)
    others = np.setdiff1d(np.arange(len(alignment.document.tokens)), found)
    columns = np.sort(np.concatenate([found, others[: MAX_TOKENS - len(found)]]))
    return {
        "kind": "alignment",
        "model": alignment.model_name,
        "score": alignment.score,
        "sentence": alignment.sentence,
        "sides": [
            _aligned_text_data(alignment.query, rows, MAX_TEXT_CHARACTERS),
            _aligned_text_data(alignment.document, columns, _MAX_ALIGNED_CHARACTERS),
        ],
        "matches": np.searchsorted(columns, matches).tolist(),
        "parts": pack(alignment.parts[rows] if len(alignment.parts) else alignment.parts, 6),
        "rest": math.fsum(alignment.parts[len(rows) :].tolist()),
        "document_parts": pack(alignment.document_parts[columns], 6),
        "similarities": pack(alignment.similarities[np.ix_(rows, columns)], 4),
        "notes": [
            f"{plural(len(text.cut), 'token')} of the {name} {'was' if len(text.cut) == 1 else 'were'} cut off."
            for name, text in (("query", alignment.query), ("document", alignment.document))
            if text.cut
        ],
    }


def _aligned_text_data(text: AlignedText, shown: Int64, max_characters: int) -> dict[str, Any]:
    """A text of an alignment, and those of its tokens that are shown. ``expansion`` counts the last ones of them."""
    first = next((token for token in text.tokens if token.kind != "special"), None)
    joined, filled_from = text.prompt + text.text, len(text.tokens) - text.expansion
    return {
        "prompt": shorten_text(text.prompt),
        "text": shorten_text(text.text, max_characters),
        "tokens": tokens_data([text.tokens[position] for position in shown.tolist()], joined),
        "count": len(text.tokens),
        "expansion": int((shown >= filled_from).sum()),
        "skipped": tokens_data(text.skipped[:MAX_TOKENS], joined),
        "skipped_count": len(text.skipped),
        "cut": tokens_data(text.cut[:MAX_CUT_TOKENS], joined),
        "cut_count": len(text.cut),
        "cut_first": bool(text.cut) and first is not None and text.cut[0].start < first.start,
    }


def _pair_text_data(text: PairText, changes: Changes) -> dict[str, Any]:
    """A text of a pair. Words and sentences are the characters of the text where each starts and ends."""
    joined, prompt = text.prompt + text.text, len(text.prompt)
    end = prompt + MAX_TEXT_CHARACTERS
    words = sum(word.end <= end for word in text.words)
    sentences = sum(sentence.start < end for sentence in text.sentences)
    return {
        "prompt": shorten_text(text.prompt),
        "text": shorten_text(text.text),
        "tokens": tokens_data(text.tokens[:MAX_TOKENS], joined),
        "count": len(text.tokens),
        "cut": tokens_data(text.cut[:MAX_CUT_TOKENS], joined),
        "cut_count": len(text.cut),
        "cut_first": text.is_start_cut,
        "words": [[word.start - prompt, word.end - prompt] for word in text.words[:words]],
        "sentences": [[max(0, each.start - prompt), each.end - prompt] for each in text.sentences[:sentences]],
        "token_changes": _pack_changes(changes.tokens, MAX_TOKENS),
        "word_changes": _pack_changes(changes.words, words),
        "sentence_changes": _pack_changes(changes.sentences, sentences),
        "strongest": [
            [shorten_word(word), round(change, 6)] for word, change in strongest_words(text, changes)[:MAX_PAIRS]
        ],
    }


def _pack_changes(changes: Float64 | None, count: int) -> Packed | None:
    return None if changes is None else pack(changes[:count], 6)


def _pair_attention_data(explained: ExplainedScore) -> dict[str, Any] | None:
    """The attention between the texts: the mean of the layers, and then each layer if they fit.

    Returns:
        ``[layers, q, d]`` and ``[layers, d, q]``; None if the score has no attention.
    """
    both = (explained.query_attention, explained.document_attention)
    if both[0] is None or both[1] is None or not both[0].size:
        return None
    shown = [array[:, :MAX_TOKENS, :MAX_TOKENS] for array in both if array is not None]
    whole = [np.concatenate([array.mean(axis=0, keepdims=True), array]) for array in shown]
    for arrays, decimals in ((whole, 4), (whole, 3), ([array[:1] for array in whole], 3)):
        maps = [pack(array, decimals) for array in arrays]
        if sum(len(packed["data"]) for packed in maps) <= _MAX_PAIR_ATTENTION_CHARACTERS:
            break
    return {"layers": len(shown[0]), "query": maps[0], "document": maps[1]}
