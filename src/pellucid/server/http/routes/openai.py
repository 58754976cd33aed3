"""OpenAI's API: https://platform.openai.com/docs/api-reference/embeddings."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.server.http.answers import json_answer, rows_answer
from pellucid.server.http.bodies import read
from pellucid.server.http.inputs import EmbeddingsBody
from pellucid.server.http.outputs import Embeddings, ModelCard, ModelCards, OpenAIFailure, failures
from pellucid.server.http.routes.direct import DirectRoute, post
from pellucid.server.http.serving import embedded, prepared, serving_of
from pellucid.types import Float32

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=DirectRoute)


@post(router, "/embeddings", EmbeddingsBody, Embeddings, OpenAIFailure, "Turn texts into vectors")
async def embeddings(request: Request) -> Response:
    """The vectors of texts, in their order."""
    body = await read(request, EmbeddingsBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    ready = await prepared(serving, request, service, body.input, prompt_name=body.prompt_name, truncate=body.truncate)
    # As OpenAI does: what was of unit length is so again after cutting.
    normalize = True if body.dimensions is not None and service.embedder.spec.unit_length else None
    vectors = await embedded(serving, request, service, ready, normalize=normalize, dimensions=body.dimensions)
    tokens = len(ready.tokens.ids)
    about = {
        "model": service.name if body.model is None else body.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    spelled = _base64 if body.encoding_format == "base64" else _numbers

    def values(start: int, stop: int) -> list[dict[str, Any]]:
        found = enumerate(spelled(vectors[start:stop]), start)
        return [{"object": "embedding", "index": index, "embedding": embedding} for index, embedding in found]

    before, after = b'{"object":"list","data":[', b"]," + to_json(about)[1:]
    return await rows_answer(request, vectors, values, ready.headers(), before=before, after=after)


@router.get("/models", response_model=ModelCards, responses=failures(OpenAIFailure, 401), summary="List the models")
async def models(request: Request) -> Response:
    """The models that are served, loaded or not."""
    cards = [_card(name) for name in serving_of(request).models.names()]
    return json_answer({"object": "list", "data": cards})


@router.get(
    "/models/{name:path}",
    response_model=ModelCard,
    responses=failures(OpenAIFailure, 401, 404),
    openapi_extra={"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]},
    summary="One model",
)
async def model(request: Request) -> Response:
    """One model that is served."""
    found = serving_of(request).models.find(request.path_params["name"])
    return json_answer(_card(found.name))


def _card(name: str) -> dict[str, str | int]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.rpartition("/")[0] or "this machine"}


def _numbers(vectors: Float32) -> list[list[float]]:
    found: list[list[float]] = vectors.tolist()
    return found


def _base64(vectors: Float32) -> list[str]:
    """Each vector's float32 numbers, little-endian, in base64."""
    return [base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode() for vector in vectors]
