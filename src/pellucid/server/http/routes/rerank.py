"""Reranking, as Cohere, Jina, vLLM and text-embeddings-inference (TEI) do it, and vLLM's scores of pairs.

https://docs.cohere.com/reference/rerank, https://jina.ai/reranker,
https://docs.vllm.ai/en/latest/models/pooling_models.html and https://huggingface.github.io/text-embeddings-inference.
The keys of a body tell which of them it is for. Cohere, Jina and vLLM share a body and an answer: each client finds the
keys that it reads.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from pellucid.errors import OptionError, TextError
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.reranker import Reranker
from pellucid.scoring import Pair
from pellucid.server.core.service import Service
from pellucid.server.http.answers import json_response, long_json_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.late_interaction import score_by_maxsim
from pellucid.server.http.outputs import OpenAIFailure, RankedDocuments, RankedTextsOrDocuments, Scores, TEIFailure
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.routes.tei import check_direction
from pellucid.server.http.scoring import PairLimits, Scored, check_documents, check_pairs, score
from pellucid.server.http.scoring_inputs import DocumentsBody, QueriesBody, ScoreBody, TEIRerankBody
from pellucid.server.http.serving import find_service
from pellucid.types import Float32

router = APIRouter(tags=["Reranking"], route_class=DirectRoute)


@post_route(
    router, "/v1/rerank", DocumentsBody, RankedDocuments, OpenAIFailure, "Rank documents, as at Cohere and Jina"
)
async def rerank_v1(request: Request) -> Response:
    """The documents that answer the query best, best first. Scores of a reranker lie between 0 and 1.

    Those of a multi-vector model are MaxSim: the sum, over the query's tokens, of the best similarity.
    """
    return await _rank_documents(request, await read_body(request, DocumentsBody), version="1")


@post_route(router, "/v2/rerank", DocumentsBody, RankedDocuments, OpenAIFailure, "Rank documents, as Cohere does")
async def rerank_v2(request: Request) -> Response:
    """The documents that answer the query best, best first, as `/v1/rerank` finds them."""
    return await _rank_documents(request, await read_body(request, DocumentsBody), version="2")


@post_route(
    router,
    "/rerank",
    (TEIRerankBody, DocumentsBody),
    RankedTextsOrDocuments,
    TEIFailure,
    "Rank `texts`, as text-embeddings-inference does, or `documents`, as vLLM does",
)
async def rerank(request: Request) -> Response:
    """The texts that answer the query best, best first. A body with `documents` gets the answer of `/v1/rerank`."""
    body = await read_body(request, TEIRerankBody, DocumentsBody)
    if isinstance(body, DocumentsBody):
        return await _rank_documents(request, body, version="1", returns_documents=True)
    service = await _find_service(request, body.model)
    check_direction(service.task, body.truncation_direction)
    pairs = check_documents(request, body.query, body.texts, "text")
    limits = PairLimits(cut=body.truncate is not False)
    scored = await _score(request, service, pairs, limits, raw=body.raw_scores)
    ranks: list[dict[str, Any]] = [
        {"index": index, "score": value} | ({"text": body.texts[index]} if body.return_text else {})
        for index, value in _best_first(scored.scores)
    ]
    characters = sum(map(len, body.texts)) if body.return_text else 0
    return await long_json_response(request, ranks, characters, scored.headers)


async def _rank_documents(
    request: Request, body: DocumentsBody, *, version: str, returns_documents: bool = False
) -> Response:
    """Answer a request with ``documents``.

    Args:
        request: the request.
        body: its body.
        version: the version of Cohere's API, for the answer.
        returns_documents: return the documents too, if the body does not say.
    """
    service = await _find_service(request, body.model)
    if body.rank_fields is not None and len(set(body.rank_fields)) < len(body.rank_fields):
        raise OptionError("Name each key of rank_fields once.")  # Else a small request could make huge texts.
    documents = [_read_document(each, position, body.rank_fields) for position, each in enumerate(body.documents)]
    pairs = check_documents(request, body.query, documents, "document")
    limits = PairLimits(body.truncate is not False, body.truncate_prompt_tokens, body.max_tokens_per_doc)
    scored = await _score(request, service, pairs, limits, raw=body.raw_scores)
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": value} for index, value in _best_first(scored.scores)[: body.top_n or None]
    ]
    characters = 0
    if returns_documents if body.return_documents is None else body.return_documents:
        for result in results:
            document = body.documents[result["index"]]
            result["document"] = {"text": document} if isinstance(document, str) else document
            characters += sum(map(len, result["document"].values()))
    tokens = scored.tokens
    answer = {
        "id": str(uuid.uuid4()),
        "object": "list",
        "model": service.name if body.model is None else body.model,
        "results": results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {"api_version": {"version": version}, "tokens": {"input_tokens": tokens}},
    }
    return await long_json_response(request, answer, characters, scored.headers)


@post_route(router, "/score", (ScoreBody, QueriesBody), Scores, OpenAIFailure, "Score pairs of texts, as vLLM does")
@post_route(router, "/v1/score", (ScoreBody, QueriesBody), Scores, OpenAIFailure, "Score pairs of texts, as vLLM does")
async def score_pairs(request: Request) -> Response:
    """A score for each pair, in the order of the pairs: between 0 and 1, or MaxSim with a multi-vector model."""
    body = await read_body(request, ScoreBody, QueriesBody)
    if isinstance(body, QueriesBody):
        pairs = check_pairs(request, body.queries, body.documents, ("queries", "documents"))
    else:
        pairs = check_pairs(request, body.text_1, body.text_2, ("text_1", "text_2"))
    service = await _find_service(request, body.model)
    limits = PairLimits(body.truncate is not False, body.truncate_prompt_tokens)
    scored = await _score(request, service, pairs, limits, raw=body.raw_scores)
    answer = {
        "id": f"score-{uuid.uuid4()}",
        "object": "list",
        "created": int(time.time()),
        "model": service.name if body.model is None else body.model,
        "data": [
            {"index": index, "object": "score", "score": value} for index, value in enumerate(scored.scores.tolist())
        ],
        "usage": {"prompt_tokens": scored.tokens, "total_tokens": scored.tokens},
    }
    return json_response(answer, scored.headers)


async def _find_service(request: Request, model: str | None) -> Service[Reranker] | Service[MultiVectorEmbedder]:
    """The model that scores pairs. Without a name, a reranker has precedence: it reads both texts together."""
    service: Service[Any] = await find_service(request, model, Reranker, MultiVectorEmbedder)
    return service


async def _score(
    request: Request,
    service: Service[Reranker] | Service[MultiVectorEmbedder],
    pairs: list[Pair],
    limits: PairLimits,
    *,
    raw: bool | None,
) -> Scored:
    """The scores of pairs. Those of a multi-vector model are no logits, so ``raw`` does not change them."""
    if isinstance(service.task, MultiVectorEmbedder):
        return await score_by_maxsim(request, service, pairs, limits)
    return await score(request, service, pairs, limits, raw=raw)


def _best_first(scores: Float32) -> list[tuple[int, float]]:
    """The position and the score of each text, best first. Equal scores keep the texts' order."""
    order = np.argsort(-scores, kind="stable")
    return list(zip(order.tolist(), scores[order].tolist(), strict=True))


def _read_document(document: str | Mapping[str, str], position: int, fields: Sequence[str] | None) -> str:
    """The text of a document that is scored.

    Of an object with one field to read, it is the value. Of one with several, it is a line for each field, with its
    name before its value, as Cohere advises (https://docs.cohere.com/docs/rerank-overview).

    Raises:
        TextError: an object has no such field.
    """
    if isinstance(document, str):
        return document
    names = fields or ["text"]
    for name in names:
        if name not in document:
            raise TextError(f"document {position} has no key {name[:80]!r}. Add it, or name other keys in rank_fields.")
    return document[names[0]] if len(names) == 1 else "\n".join(f"{name}: {document[name]}" for name in names)
