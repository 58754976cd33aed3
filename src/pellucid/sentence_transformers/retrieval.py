"""Search, pairs of similar texts, and groups of them, as in ``sentence_transformers.util``.

The results are exact. Memory stays bounded, because vectors are compared a block at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pellucid.checks import check_integer
from pellucid.errors import InputError, OptionError
from pellucid.files.progress import progress
from pellucid.sentence_transformers.similarity import check_widths, cos_sim, dot_score, lengths, pytorch_cos_sim, unit
from pellucid.sentence_transformers.tensors import Array, as_array, like
from pellucid.vectors.best import BestOfRows
from pellucid.vectors.blocks import COSINE_ROWS, MAX_NUMBERS, blocks
from pellucid.vectors.pairs import BestPairs

ScoreFunction = Callable[[Any, Any], Any]
_LARGEST = np.iinfo(np.int64).max
_WIDTHS_OF_K = 4
"""A block has at least so many times as many columns as are kept of each row."""


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500000,
    top_k: int = 10,
    score_function: ScoreFunction = cos_sim,
) -> list[list[dict[str, Any]]]:
    """Find the vectors of a corpus that score highest with each query. Every vector is compared.

    Args:
        query_embeddings: ``[q, d]``, or one query ``[d]``.
        corpus_embeddings: ``[n, d]``.
        query_chunk_size: checked, but without effect: Pellucid chooses the blocks.
        corpus_chunk_size: the same.
        top_k: how many to find for each query.
        score_function: a function of ``[a, d]`` and ``[b, d]`` that gives ``[a, b]``.

    Returns:
        For each query a list of dicts with ``corpus_id``, the position in the corpus, and ``score``, best first. Of
        equal scores, the lower position comes first.

    Raises:
        InputError: the shapes do not fit, or a score is NaN.
        OptionError: a number is out of range.
    """
    _check_sizes(query_chunk_size=query_chunk_size, corpus_chunk_size=corpus_chunk_size)
    top_k = check_integer("top_k", top_k, 1, _LARGEST, "of at least 1")
    queries, corpus = np.atleast_2d(as_array(query_embeddings, "query_embeddings")), _corpus(corpus_embeddings)
    if not len(corpus):
        return [[] for _ in queries]
    check_widths("query_embeddings", queries, "corpus_embeddings", corpus)
    best = _best(_Scorer(score_function, corpus_embeddings), queries, corpus, min(top_k, len(corpus)))
    return [
        [{"corpus_id": column, "score": score} for column, score in zip(*row, strict=True)]
        for row in zip(best.columns.tolist(), best.scores.tolist(), strict=True)
    ]


def information_retrieval(*arguments: Any, **options: Any) -> list[list[dict[str, Any]]]:
    """The older name of :func:`semantic_search`."""
    return semantic_search(*arguments, **options)


def paraphrase_mining(
    model: Any,
    sentences: Sequence[str],
    show_progress_bar: bool = False,
    batch_size: int = 32,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100000,
    max_pairs: int = 500000,
    top_k: int = 100,
    score_function: ScoreFunction = cos_sim,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[list[Any]]:
    """Find the pairs of texts that are most similar: ``model.encode``, then :func:`paraphrase_mining_embeddings`.

    ``model`` is a :class:`~pellucid.sentence_transformers.SentenceTransformer`. The options are those of the two.
    """
    embeddings = model.encode(
        sentences,
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    return paraphrase_mining_embeddings(
        embeddings, query_chunk_size, corpus_chunk_size, max_pairs, top_k, score_function
    )


def paraphrase_mining_embeddings(
    embeddings: Any,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100000,
    max_pairs: int = 500000,
    top_k: int = 100,
    score_function: ScoreFunction = cos_sim,
) -> list[list[Any]]:
    """Find the pairs of vectors that are most similar.

    Args:
        embeddings: ``[n, d]``.
        query_chunk_size: checked, but without effect: Pellucid chooses the blocks.
        corpus_chunk_size: the same.
        max_pairs: how many pairs to return at most.
        top_k: a pair counts if one of the two is among this many vectors that are most similar to the other.
        score_function: a symmetric function of ``[a, d]`` and ``[b, d]`` that gives ``[a, b]``.

    Returns:
        A list ``[score, i, j]`` for each pair, with ``i < j``, the highest score first.

    Raises:
        InputError: the shape is wrong, or a score is NaN.
        OptionError: a number is out of range.
    """
    _check_sizes(query_chunk_size=query_chunk_size, corpus_chunk_size=corpus_chunk_size, max_pairs=max_pairs)
    top_k = check_integer("top_k", top_k, 1, _LARGEST, "of at least 1")
    vectors = _corpus(embeddings)
    if not len(vectors):
        return []
    scorer = _Scorer(score_function, embeddings)
    best = BestPairs(len(vectors), max_pairs, top_k, np.result_type(vectors, np.float32))
    size = math.isqrt(MAX_NUMBERS)
    for rows in blocks(len(vectors), size):
        queries = [scorer.queries(vectors[rows])]
        for later in blocks(len(vectors) - rows.start, size):
            columns = slice(rows.start + later.start, rows.start + later.stop)
            for scores in scorer.scores(queries, vectors[columns]):
                best.offer(rows, columns, scores)
    found = (array.tolist() for array in best.as_arrays())
    return [list(pair) for pair in zip(*found, strict=True)]


def community_detection(
    embeddings: Any,
    threshold: float = 0.75,
    min_community_size: int = 10,
    batch_size: int = 1024,
    show_progress_bar: bool = False,
) -> list[list[int]]:
    """Group vectors around those that have many others near them.

    Args:
        embeddings: ``[n, d]``.
        threshold: the lowest cosine of a member with the centre of its group.
        min_community_size: smaller groups are left out.
        batch_size: checked, but without effect: Pellucid chooses the blocks.
        show_progress_bar: draw a progress bar.

    Returns:
        For each group a list of positions. Its centre comes first, then the others, the most similar first. No vector
        is in two groups. The largest group comes first.

    Raises:
        InputError: the shape is wrong.
        OptionError: a number is out of range.
    """
    _check_sizes(batch_size=batch_size, min_community_size=min_community_size)
    vectors = _corpus(embeddings) if len(embeddings) else np.empty((0, 0), dtype=np.float32)
    if len(vectors) < min_community_size:
        return []
    vectors, limit = unit(vectors), np.float32(threshold)
    if not np.isfinite(vectors.sum()):
        raise InputError("a vector has a number that is not finite (NaN or infinity), or is too long.")
    size = max(1, min(COSINE_ROWS, MAX_NUMBERS // len(vectors)))
    neighbours = np.empty(len(vectors), dtype=np.int64)
    with progress(len(vectors), show=show_progress_bar, desc="Finding groups") as advance:
        for rows in blocks(len(vectors), size):
            neighbours[rows] = np.count_nonzero(vectors[rows] @ vectors.T >= limit, axis=1)
            advance(rows.stop - rows.start)
    # The groups overlap. Those with the most neighbours take their members first.
    order = np.argsort(-neighbours, kind="stable")
    centres = order[neighbours[order] >= min_community_size]
    groups: list[list[int]] = []
    taken = np.zeros(len(vectors), dtype=np.bool_)
    while len(centres):
        block, centres = centres[:size], centres[size:]
        for centre, cosines in zip(block.tolist(), vectors[block] @ vectors.T, strict=True):
            if taken[centre]:
                continue
            members = np.flatnonzero((cosines >= limit) & ~taken)
            if len(members) >= min_community_size:
                members = members[np.argsort(-cosines[members], kind="stable")]
                groups.append([centre, *members[members != centre].tolist()])
                taken[members] = taken[centre] = True
        centres = centres[~taken[centres]]
    return sorted(groups, key=len, reverse=True)


class _Scorer:
    """Scores queries against blocks of a corpus. For cosines, no vector is scaled twice."""

    def __init__(self, function: ScoreFunction, example: Any) -> None:
        if not callable(function):
            raise OptionError(f"score_function is of type {type(function).__name__}; it must be a function.")
        self._function = function
        self._example = example  # A caller's function gets tensors if the caller works with tensors.
        self._is_cosine = function in (cos_sim, pytorch_cos_sim)

    def queries(self, queries: Array) -> Array:
        """The queries, ready for :meth:`score`."""
        return unit(queries) if self._is_cosine else queries

    def scores(self, queries: Sequence[Array], block: Array) -> Iterator[Array]:
        """The scores of each part of the queries with a block of the corpus, ``[r, s]``."""
        scale = lengths(block) if self._is_cosine else None
        for part in queries:
            if scale is not None:
                scores = part @ block.T
                scores /= scale
            elif self._function is dot_score:
                scores = part @ block.T
            else:
                scores = as_array(self._function(like(part, self._example), like(block, self._example)), "the scores")
            if np.isnan(scores.sum()) and np.isnan(scores).any():  # The sum is much faster to look at.
                raise InputError("a score is NaN: a vector has a number that is not finite, or is too long.")
            yield scores


def _best(scorer: _Scorer, queries: Array, corpus: Array, k: int) -> BestOfRows:
    """The ``k`` best of the corpus for each query."""
    # A block costs a row the sorting of what it holds. So with many to hold, blocks have more columns and fewer rows.
    width = max(MAX_NUMBERS // COSINE_ROWS, _WIDTHS_OF_K * k)
    rows = list(blocks(len(queries), max(1, min(COSINE_ROWS, MAX_NUMBERS // width))))
    ready = [scorer.queries(queries[block]) for block in rows]
    best = BestOfRows(len(queries), k, np.result_type(queries, corpus, np.float32))
    for columns in blocks(len(corpus), width):
        for block, scores in zip(rows, scorer.scores(ready, corpus[columns]), strict=True):
            best.offer(columns.start, scores, block)
    return best


def _corpus(embeddings: Any) -> Array:
    vectors = as_array(embeddings)
    if not vectors.size and vectors.ndim == 1:
        return vectors.reshape(0, 0)
    vectors = np.atleast_2d(vectors)
    if vectors.ndim != 2:  # noqa: PLR2004
        raise InputError(f"the embeddings have the shape {vectors.shape}; they must be vectors, [n, d].")
    return vectors


def _check_sizes(**sizes: Any) -> None:
    for name, size in sizes.items():
        check_integer(name, size, 1, _LARGEST, "of at least 1")
