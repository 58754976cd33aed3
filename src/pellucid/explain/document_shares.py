"""How much each word of a query adds to its cosine with each of many documents, computed in one go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.explain.shares import Float64, token_parts, why_no_parts
from pellucid.explain.words import Word, WordShares, find_words, sum_over_words
from pellucid.layers.finish import EachToken, Pool
from pellucid.types import Float32, TokenBatch

_DOCUMENTS_AT_A_TIME = 32
"""Enough to keep the engine busy; the vectors of all tokens of these take 12 MB in a model of 384 dimensions."""


def why_no_word_shares(encoder: Encoder) -> str | None:
    """Why the cosines of a model are not sums over pairs of words; None if they are."""
    if encoder.reads_queries_apart:
        return "The model reads queries and documents in different ways."
    return why_no_parts(Pool(encoder.spec.pooling, encoder.modules))


def document_shares(
    encoder: Encoder, query: tuple[str, str], documents: Sequence[tuple[str, str]]
) -> Iterator[WordShares]:
    """Divide the cosine of a query with each document among pairs of words.

    The numbers are those of :func:`~pellucid.explain.words.word_shares`, but the encoder's own engine computes them,
    for many texts together. That is many times faster than to trace every text. A text that is too long is cut.

    Args:
        encoder: the model. :func:`why_no_word_shares` must be None for it.
        query: the query and its prompt.
        documents: the documents, each with its prompt.
    """
    if not documents:
        return
    ((first_words, first, first_whole),) = _parts(encoder, [query])
    for start in range(0, len(documents), _DOCUMENTS_AT_A_TIME):
        for second_words, second, second_whole in _parts(encoder, documents[start:][:_DOCUMENTS_AT_A_TIME]):
            shares = first @ second.T
            frame = float(first_whole @ second_whole) - float(shares.sum())
            yield WordShares(first_words, second_words, shares, frame)


def _parts(encoder: Encoder, texts: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[Word, ...], Float64, Float64]]:
    """Of each text with its prompt, the words, and what :func:`_unit_parts` gives for them."""
    inspected = [encoder.tokenizer.inspect(text, prompt) for text, prompt in texts]
    batch = TokenBatch.from_sequences([[token.id for token in each.tokens] for each in inspected])
    vectors = encoder.run(batch, EachToken())
    for each, (text, prompt), rows in zip(inspected, texts, vectors, strict=True):
        words = find_words(each.tokens, prompt + text, len(prompt))
        yield words, *_unit_parts(encoder, words, prompt, rows)


def _unit_parts(encoder: Encoder, words: Sequence[Word], prompt: str, vectors: Float32) -> tuple[Float64, Float64]:
    """Each word's part of a text's vector of unit length, ``float64[words, d]``, and that vector, ``float64[d]``."""
    parts = token_parts(vectors, Pool(encoder.spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(prompt)))
    whole = parts.sum(axis=0)
    length = max(float(np.linalg.norm(whole)), 1e-12)
    return sum_over_words(parts, words) / length, whole / length
