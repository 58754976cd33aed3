"""OpenAI's API: https://platform.openai.com/docs/api-reference/embeddings.

The same under the paths that infinity (``/embeddings``) and Azure (``/openai/deployments/{model}/embeddings``) have.
"""

from __future__ import annotations

import base64
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.server.core.models import State
from pellucid.server.http.answers import json_response, list_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embedding import embed, tokenize_input
from pellucid.server.http.inputs import EmbeddingsBody
from pellucid.server.http.outputs import Embeddings, ModelCard, ModelCards, OpenAIFailure, error_responses
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.serving import find_service, serving_of
from pellucid.types import Float32

router = APIRouter(tags=["OpenAI"], route_class=DirectRoute)
_NAME_PARAMETER = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "The name of a model or alias, as `GET /v1/models` lists it.",
}
_DEPLOYMENT_PARAMETER = _NAME_PARAMETER | {"name": "model", "description": "The name of a model or alias."}
_VERSION_PARAMETER = {
    "name": "api-version",
    "in": "query",
    "required": False,
    "schema": {"type": "string"},
    "description": "Accepted and ignored.",
}


@post_route(router, "/embeddings", EmbeddingsBody, Embeddings, OpenAIFailure, "The same as `/v1/embeddings`")
@post_route(router, "/v1/embeddings", EmbeddingsBody, Embeddings, OpenAIFailure, "Turn texts into vectors")
async def embeddings(request: Request) -> Response:
    """One vector for each text, in the texts' order."""
    body = await read_body(request, EmbeddingsBody)
    return await _embeddings(request, body, body.model)


@post_route(
    router,
    "/openai/deployments/{model:path}/embeddings",
    EmbeddingsBody,
    Embeddings,
    OpenAIFailure,
    "Turn texts into vectors, as Azure does",
    _DEPLOYMENT_PARAMETER,
    _VERSION_PARAMETER,
)
async def deployment_embeddings(request: Request) -> Response:
    """The same as `/v1/embeddings`. The path names the model; `model` in the body is ignored, as it is at Azure."""
    return await _embeddings(request, await read_body(request, EmbeddingsBody), request.path_params["model"])


async def _embeddings(request: Request, body: EmbeddingsBody, model: str | None) -> Response:
    serving = serving_of(request)
    service = await find_service(request, model, Embedder)
    texts = await tokenize_input(
        serving,
        request,
        service,
        body.input,
        prompt_name=body.prompt_name,
        input_type=body.input_type,
        truncate=body.truncation if body.truncate is None else body.truncate,
        model=model,
    )
    dimensions = body.output_dimension if body.dimensions is None else body.dimensions
    # As at OpenAI, vectors of unit length are scaled to unit length again when dimensions are cut off.
    normalize = True if dimensions is not None and service.task.spec.unit_length else None
    vectors = await embed(request, service, texts, normalize=normalize, dimensions=dimensions)
    tokens = len(texts.tokens.ids)
    end = {
        "model": service.name if model is None else model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    encode = as_base64 if body.encoding_format == "base64" else as_numbers

    def values(start: int, stop: int) -> list[dict[str, Any]]:
        encoded = enumerate(encode(vectors[start:stop]), start)
        return [{"object": "embedding", "index": index, "embedding": embedding} for index, embedding in encoded]

    before, after = b'{"object":"list","data":[', b"]," + to_json(end)[1:]
    return await list_response(request, vectors, values, texts.headers(), before=before, after=after)


@router.get(
    "/v1/models", response_model=ModelCards, responses=error_responses(OpenAIFailure, 401), summary="List the models"
)
async def models(request: Request) -> Response:
    """The models that this server serves, loaded or not, and their aliases."""
    models = serving_of(request).models
    cards = [_card(state) for state in models.states()]
    cards += [_alias_card(alias, models.find(name)) for alias, name in models.aliases().items()]
    return json_response({"object": "list", "data": cards})


@router.get(
    "/v1/models/{name:path}",
    response_model=ModelCard,
    responses=error_responses(OpenAIFailure, 401, 404),
    openapi_extra={"parameters": [_NAME_PARAMETER]},
    summary="Describe one model",
)
async def model(request: Request) -> Response:
    """One of the models or aliases that this server serves."""
    models, name = serving_of(request).models, request.path_params["name"]
    state = models.find(name)
    return json_response(_alias_card(name, state) if models.is_alias(name) else _card(state))


def _card(state: State) -> dict[str, str | int | None]:
    owner = state.name.rpartition("/")[0] or "this machine"
    return {"id": state.name, "object": "model", "created": 0, "owned_by": owner, "kind": state.kind}


def _alias_card(alias: str, state: State) -> dict[str, str | int | None]:
    return {**_card(state), "id": alias, "root": state.name}


def as_numbers(vectors: Float32) -> list[list[float]]:
    """The numbers of each vector."""
    numbers: list[list[float]] = vectors.tolist()
    return numbers


def as_base64(vectors: Float32) -> list[str]:
    """The numbers of each vector as little-endian float32, in base64."""
    return [base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode() for vector in vectors]
