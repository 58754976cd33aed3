"""From the texts of a request to vectors of tokens, and to scores by MaxSim, with a model of late interaction."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence

import numpy as np
from fastapi import Request

from pellucid.errors import InputError, OptionError
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.scoring import Pair
from pellucid.server.core.service import Service, check_lengths
from pellucid.server.http.embedding import tokenize_texts
from pellucid.server.http.scoring import MODEL_LIMIT, PairLimits, Scored
from pellucid.server.http.serving import reservation_of, serving_of, work_in_thread
from pellucid.server.http.texts import NUMBER_BYTES, TokenizedTexts, run_model, truncation_headers
from pellucid.text.sides import Side
from pellucid.types import Float32, Int64, MultiVectors

_MERGED_PAIR_BYTES = 24
"""The memory that each pair of a text's tokens takes while similar vectors are merged."""
_SCORED_NUMBER_BYTES = 8
"""The memory that a number of a vector takes while texts are scored: once for all tokens, and once for those kept."""
_TOKENS_PER_PART = 8192
"""How many tokens of documents have vectors at a time while they are scored."""


def check_answered_tokens(request: Request, texts: TokenizedTexts) -> None:
    """Refuse texts with more tokens than one response may have vectors.

    Raises:
        InputError: there are too many.
    """
    count, limit = len(texts.tokens.ids), serving_of(request).settings.limits.answered_tokens
    if count > limit:
        raise InputError(
            f"the texts have {count:,} tokens, but one response has vectors for at most {limit:,}. Send fewer texts."
        )


async def embed_each_token(
    request: Request,
    service: Service[MultiVectorEmbedder],
    texts: TokenizedTexts,
    *,
    number_bytes: int = NUMBER_BYTES,
    first: int = 0,
    is_part: bool = False,
) -> MultiVectors:
    """The model's vectors of texts. Nothing more is computed for a client that has left.

    Args:
        request: the request.
        service: the model.
        texts: the texts as tokens.
        number_bytes: the memory that a number takes, in the vectors and in the response.
        first: the position of the first text, for messages.
        is_part: True if the caller counts the request, of which this is a part.

    Raises:
        VectorNotFiniteError: a vector is not finite. The message gives the text's position.
        RequestMemoryFullError, RequestTooLargeError: there is not enough memory for the vectors.
        RequestError: the client has left.
    """
    task = service.task
    numbers = len(texts.tokens.ids) * task.dimensions
    finish = task.finish(texts.side)
    reservation = reservation_of(request)
    merging = 0 if finish.pooling is None else _MERGED_PAIR_BYTES * int(texts.tokens.lengths.max(initial=0)) ** 2
    reservation.take(merging)
    vectors = await run_model(
        request, service, texts, finish, numbers, number_bytes=number_bytes, first=first, is_part=is_part
    )
    reservation.give_back(merging)
    return vectors


async def score_by_maxsim(
    request: Request, service: Service[MultiVectorEmbedder], pairs: Sequence[Pair], limits: PairLimits
) -> Scored:
    """Score pairs of a query and a document: the sum, over the query's tokens, of the best similarity.

    Each query is embedded once, and documents some at a time, so that many long ones fit into memory.

    Raises:
        OptionError: the request asks for another limit than the model's.
        TruncationError: a text is too long and must not be cut.
        VectorNotFiniteError: a vector is not finite. The message gives the text's position.
    """
    task = service.task
    _check_limits(task, limits)
    numbers: dict[str, int] = {}
    query_of = np.array([numbers.setdefault(query, len(numbers)) for query, _ in pairs])
    queries = await _tokenize(request, service, list(numbers), "query", cut=limits.cut)
    documents = await _tokenize(request, service, [document for _, document in pairs], "document", cut=limits.cut)
    start_time = time.perf_counter()
    embed = functools.partial(embed_each_token, request, service, number_bytes=_SCORED_NUMBER_BYTES, is_part=True)
    scores = np.empty(len(pairs), dtype=np.float32)
    reservation = reservation_of(request)
    with serving_of(request).models.keep_loaded(service):
        query_vectors = list(await embed(queries))
        reserved = reservation.size
        for start, stop in _parts(documents):
            vectors = await embed(documents.part(start, stop), first=start)
            score = functools.partial(_maxsim, task, query_vectors, query_of[start:stop], vectors)
            scores[start:stop] = await work_in_thread(request, score)
            reservation.shrink(reserved)
    service.metrics.count_request(time.perf_counter() - start_time)
    tokens = len(queries.tokens.ids) + len(documents.tokens.ids)
    return Scored(scores, tokens, truncation_headers(queries, documents))


def _check_limits(task: MultiVectorEmbedder, limits: PairLimits) -> None:
    """Refuse limits that a model with limits of its own for queries and documents cannot heed."""
    if limits.pair_tokens not in (None, MODEL_LIMIT):
        raise OptionError("Leave out truncate_prompt_tokens: this model reads a query and a document apart.")
    if limits.second_tokens is not None and limits.second_tokens < task.max_tokens:
        raise OptionError(
            f"Leave out max_tokens_per_doc: this model reads up to {task.max_tokens} tokens of a document."
        )


async def _tokenize(
    request: Request, service: Service[MultiVectorEmbedder], texts: list[str], side: Side, *, cut: bool
) -> TokenizedTexts:
    task = service.task
    prompt = task.query_prompt if side == "query" else task.document_prompt
    found = await tokenize_texts(request, service, texts, side, prompt, cut=True)
    if not cut:
        check_lengths(found.counts, found.max_tokens, unit="query text" if side == "query" else "document")
    return found


def _parts(texts: TokenizedTexts) -> Iterator[tuple[int, int]]:
    """Where parts of the texts start and stop. Each has a single text, or not too many tokens."""
    offsets, start = texts.tokens.offsets, 0
    while start < len(texts.tokens):
        fits = int(np.searchsorted(offsets, offsets[start] + _TOKENS_PER_PART, side="right")) - 1
        stop = max(fits, start + 1)
        yield start, stop
        start = stop


def _maxsim(task: MultiVectorEmbedder, queries: Sequence[Float32], query_of: Int64, documents: MultiVectors) -> Float32:
    """The score of each document for its query."""
    scores = np.empty(len(documents), dtype=np.float32)
    for number in np.unique(query_of).tolist():
        chosen = query_of == number
        scores[chosen] = task.engine.maxsim(queries[number], documents[chosen])
    return scores
