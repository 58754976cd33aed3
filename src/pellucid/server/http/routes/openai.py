"""OpenAI's API: https://platform.openai.com/docs/api-reference/embeddings."""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.server.http.answers import json_response, list_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embedding import embed, tokenize_input
from pellucid.server.http.inputs import EmbeddingsBody
from pellucid.server.http.outputs import Embeddings, ModelCard, ModelCards, OpenAIFailure, error_responses
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.serving import serving_of
from pellucid.types import Float32

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=DirectRoute)
_NAME_PARAMETER = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "The name of a model or alias, as `GET /v1/models` lists it.",
}


@post_route(router, "/embeddings", EmbeddingsBody, Embeddings, OpenAIFailure, "Turn texts into vectors")
async def embeddings(request: Request) -> Response:
    """One vector for each text, in the texts' order."""
    body = await read_body(request, EmbeddingsBody)
    serving = serving_of(request)
    service = await serving.models.get(body.model)
    texts = await tokenize_input(
        serving, request, service, body.input, prompt_name=body.prompt_name, truncate=body.truncate, model=body.model
    )
    # As at OpenAI, vectors of unit length are scaled to unit length again when dimensions are cut off.
    normalize = True if body.dimensions is not None and service.embedder.spec.unit_length else None
    vectors = await embed(serving, request, service, texts, normalize=normalize, dimensions=body.dimensions)
    tokens = len(texts.tokens.ids)
    end = {
        "model": service.name if body.model is None else body.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    encode = _base64 if body.encoding_format == "base64" else _numbers

    def values(start: int, stop: int) -> list[dict[str, Any]]:
        encoded = enumerate(encode(vectors[start:stop]), start)
        return [{"object": "embedding", "index": index, "embedding": embedding} for index, embedding in encoded]

    before, after = b'{"object":"list","data":[', b"]," + to_json(end)[1:]
    return await list_response(request, vectors, values, texts.headers(), before=before, after=after)


@router.get(
    "/models", response_model=ModelCards, responses=error_responses(OpenAIFailure, 401), summary="List the models"
)
async def models(request: Request) -> Response:
    """The models that this server serves, loaded or not, and their aliases."""
    models = serving_of(request).models
    cards = [_card(name) for name in models.names()]
    cards += [_alias_card(alias, name) for alias, name in models.aliases().items()]
    return json_response({"object": "list", "data": cards})


@router.get(
    "/models/{name:path}",
    response_model=ModelCard,
    responses=error_responses(OpenAIFailure, 401, 404),
    openapi_extra={"parameters": [_NAME_PARAMETER]},
    summary="Describe one model",
)
async def model(request: Request) -> Response:
    """One of the models or aliases that this server serves."""
    models, name = serving_of(request).models, request.path_params["name"]
    full_name = models.find(name).name
    return json_response(_alias_card(name, full_name) if models.is_alias(name) else _card(full_name))


def _card(name: str) -> dict[str, str | int]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.rpartition("/")[0] or "this machine"}


def _alias_card(alias: str, name: str) -> dict[str, str | int]:
    return {**_card(name), "id": alias, "root": name}


def _numbers(vectors: Float32) -> list[list[float]]:
    numbers: list[list[float]] = vectors.tolist()
    return numbers


def _base64(vectors: Float32) -> list[str]:
    """The numbers of each vector as little-endian float32, in base64."""
    return [base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode() for vector in vectors]
