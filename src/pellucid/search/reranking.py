"""Hits in a new order: a cross-encoder reads the query and each chunk together, and scores how well it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pellucid.reranker import Reranker
from pellucid.search.hits import Hit

CANDIDATES = 50
"""How many hits are reranked at least, if there are so many. The best answer is seldom further down."""


def rerank(query: str, hits: Sequence[Hit], reranker: Reranker) -> list[Hit]:
    """Sort hits by a reranker's scores, best first. Equal scores keep their order.

    Args:
        query: the query that found them.
        hits: the hits.
        reranker: the model.

    Returns:
        The same hits, each with its ``rerank_score``.

    Raises:
        TruncationError: a chunk and the query are too long together for a reranker with ``on_truncation="error"``.
    """
    ranked = reranker.rank(query, [hit.row.text for hit in hits])
    return [replace(hits[match.index], rerank_score=match.score) for match in ranked]
