"""A score of sparse vectors, or a MaxSim, as a sum over pairs of words: people read words, not pieces of words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pellucid.explain.alignment import AlignedText, Alignment
from pellucid.explain.sparse import ExplainedSparseScore, SparseText
from pellucid.explain.words import WordShares, find_words


def sparse_shares(explained: ExplainedSparseScore) -> WordShares:
    """What each pair of words adds to a score: the terms that one raised in the query, and the other in the document.

    What terms add that a special token or a prompt raised is in ``frame``.
    """
    parts = ((match.in_query.raised_by, match.in_document.raised_by, match.product) for match in explained.matches)
    return _shares(explained.query, explained.document, parts)


def alignment_shares(alignment: Alignment) -> WordShares:
    """What each pair of words adds to a MaxSim: a word of the query, and the word of the document that it found.

    What a special token or a prompt adds, or found, is in ``frame``.
    """
    parts = zip(range(len(alignment.parts)), alignment.matches.tolist(), alignment.parts.tolist(), strict=True)
    return _shares(alignment.query, alignment.document, parts)


def _shares(
    query: SparseText | AlignedText, document: SparseText | AlignedText, parts: Iterable[tuple[int, int, float]]
) -> WordShares:
    """Add up parts of a score, each of a token of the query and one of the document."""
    first, second = (find_words(text.tokens, text.prompt + text.text, len(text.prompt)) for text in (query, document))
    rows, columns = (
        {token: number for number, word in enumerate(words) for token in word.tokens} for words in (first, second)
    )
    shares = np.zeros((len(first), len(second)))
    frame = 0.0
    for row, column, part in parts:
        if row in rows and column in columns:
            shares[rows[row], columns[column]] += part
        else:
            frame += part
    return WordShares(tuple(first), tuple(second), shares, frame)
