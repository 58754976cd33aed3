"""How much each word of a query adds to its cosine with each of many documents, computed in one go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.explain.shares import Float64, token_parts, why_no_parts
from pellucid.explain.words import Word, WordShares, find_words, sum_over_words
from pellucid.layers.finish import EachToken, Pool
from pellucid.types import Float32, TokenBatch


def why_no_word_shares(encoder: Encoder) -> str | None:
    """Why the cosines of a model are not sums over pairs of words; None if they are."""
    return why_no_parts(Pool(encoder.spec.pooling, encoder.modules))


def document_shares(encoder: Encoder, query: tuple[str, str], documents: Sequence[tuple[str, str]]) -> list[WordShares]:
    """Divide the cosine of a query with each document among pairs of words.

    The numbers are those of :func:`~pellucid.explain.words.word_shares`, but the encoder's own engine computes them,
    for all texts together. That is many times faster than to trace every text. A text that is too long is cut.

    Args:
        encoder: the model. :func:`why_no_word_shares` must be None for it.
        query: the query and its prompt.
        documents: the documents, each with its prompt.
    """
    texts = [query, *documents]
    inspected = [encoder.tokenizer.inspect(text, prompt) for text, prompt in texts]
    batch = TokenBatch.from_sequences([[token.id for token in each.tokens] for each in inspected])
    vectors = encoder.run(batch, EachToken())
    words = [
        find_words(each.tokens, prompt + text, len(prompt))
        for each, (text, prompt) in zip(inspected, texts, strict=True)
    ]
    parts = [
        _unit_parts(encoder, own, prompt, rows) for own, (_, prompt), rows in zip(words, texts, vectors, strict=True)
    ]
    (first, first_whole), first_words = parts[0], words[0]
    found = []
    for (second, second_whole), second_words in zip(parts[1:], words[1:], strict=True):
        shares = first @ second.T
        found.append(
            WordShares(first_words, second_words, shares, float(first_whole @ second_whole) - float(shares.sum()))
        )
    return found


def _unit_parts(encoder: Encoder, words: Sequence[Word], prompt: str, vectors: Float32) -> tuple[Float64, Float64]:
    """Each word's part of a text's vector of unit length, ``float64[words, d]``, and that vector, ``float64[d]``."""
    parts = token_parts(vectors, Pool(encoder.spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(prompt)))
    whole = parts.sum(axis=0)
    length = max(float(np.linalg.norm(whole)), 1e-12)
    return sum_over_words(parts, words) / length, whole / length
