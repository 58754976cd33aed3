"""Hits in a new order: a cross-encoder reads the query and each chunk together, and scores how well it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pellucid.reranker import Reranker
from pellucid.search.hits import Hit

_CANDIDATES = 50
"""How many hits are reranked at least, if there are so many. The best answer is seldom further down."""


def candidates_for(count: int) -> int:
    """How many hits to find and to rerank, so that the best ``count`` are among them."""
    return max(count, _CANDIDATES)


def rerank(
    query: str, hits: Sequence[Hit], reranker: Reranker, *, advance: Callable[[int], object] = lambda _hits: None
) -> list[Hit]:
    """Sort hits by a reranker's scores, best first. Equal scores keep their order.

    Args:
        query: the query that found them.
        hits: the hits.
        reranker: the model.
        advance: called after each part of the work with its number of hits.

    Returns:
        The same hits, each with its ``rerank_score``.

    Raises:
        TruncationError: a chunk and the query are too long together for a reranker with ``on_truncation="error"``.
    """
    ranked = reranker.rank(query, [hit.row.text for hit in hits], advance=advance)
    return [replace(hits[match.index], rerank_score=match.score) for match in ranked]
