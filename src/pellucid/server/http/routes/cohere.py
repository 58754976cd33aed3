"""Cohere's API for vectors: https://docs.cohere.com/reference/embed. For ranking, see ``rerank.py``."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.errors import InputError, OptionError
from pellucid.layers.quantization import to_dtype
from pellucid.server.http.answers import PiecewiseResponse, list_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embed_inputs import CohereEmbedBody
from pellucid.server.http.embedding import embed, tokenize_input
from pellucid.server.http.outputs import CohereEmbeddings, OpenAIFailure
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.routes.openai import as_base64, as_numbers
from pellucid.server.http.serving import find_service, reservation_of, serving_of, wait_or_cancel
from pellucid.types import Float32

router = APIRouter(tags=["Cohere"], route_class=DirectRoute)
_WRITERS: dict[str, Callable[[Float32], list[Any]]] = {
    "float": as_numbers,
    "base64": as_base64,
    "binary": lambda vectors: to_dtype(vectors, "binary").tolist(),
    "ubinary": lambda vectors: to_dtype(vectors, "ubinary").tolist(),
}
_NUMBER_BYTES = 52
"""The memory that a number takes while an answer of several types is written: as an object, and as digits."""


@post_route(router, "/v1/embed", CohereEmbedBody, CohereEmbeddings, OpenAIFailure, "Turn texts into vectors")
async def embed_v1(request: Request) -> Response:
    """One vector for each text, in the texts' order: a list, or an object of lists if there are `embedding_types`."""
    return await _embed(request, await read_body(request, CohereEmbedBody), "1")


@post_route(router, "/v2/embed", CohereEmbedBody, CohereEmbeddings, OpenAIFailure, "Turn texts into vectors")
async def embed_v2(request: Request) -> Response:
    """One vector for each text, in the texts' order: an object with a list for each of the `embedding_types`."""
    body = await read_body(request, CohereEmbedBody)
    return await _embed(request, body.model_copy(update={"embedding_types": body.embedding_types or ["float"]}), "2")


async def _embed(request: Request, body: CohereEmbedBody, version: str) -> Response:
    """Answer a request. Without ``embedding_types``, ``embeddings`` is a list."""
    if (body.texts is None) == (body.inputs is None):
        raise InputError("send either texts or inputs.")
    inputs = body.texts if body.texts is not None else [each.content[0].text for each in body.inputs or ()]
    types = body.embedding_types
    for kind in types or ():
        if kind not in _WRITERS:
            raise OptionError(
                f"the embedding type {kind} needs the ranges of all vectors that you compare, which no request has. "
                f"Ask for float, binary, ubinary or base64.",
            )
    service = await find_service(request, body.model, Embedder)
    if body.truncate == "START" and service.task.spec.tokenizer.truncation_side != "left":
        raise OptionError("this model cuts texts at their end. Send END or NONE as truncate.")
    texts = await tokenize_input(
        serving_of(request), request, service, inputs, input_type=body.input_type, truncate=body.truncate != "NONE"
    )
    normalize = True if body.output_dimension is not None and service.task.spec.unit_length else None
    vectors = await embed(request, service, texts, normalize=normalize, dimensions=body.output_dimension)
    end = {
        "texts": inputs,
        "meta": {"api_version": {"version": version}, "billed_units": {"input_tokens": len(texts.tokens.ids)}},
        "response_type": "embeddings_floats" if types is None else "embeddings_by_type",
    }
    start = {"id": str(uuid.uuid4())}
    if types is None or types == ["float"]:
        opening, closing = (b"[", b"],") if types is None else (b'{"float":[', b"]},")
        return await list_response(
            request,
            vectors,
            lambda first, stop: as_numbers(vectors[first:stop]),
            texts.headers(),
            before=to_json(start)[:-1] + b',"embeddings":' + opening,
            after=closing + to_json(end)[1:],
        )
    kinds = dict.fromkeys(types)
    reservation_of(request).take(_NUMBER_BYTES * vectors.size * len(kinds))

    def write(_: object) -> bytes:
        return to_json({**start, "embeddings": {kind: _WRITERS[kind](vectors) for kind in kinds}, **end})

    written = await wait_or_cancel(request, serving_of(request).json_worker.run(write))
    return PiecewiseResponse([written], texts.headers())
