"""Ollama's API for vectors: https://docs.ollama.com/api/embed."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.server.core.models import State
from pellucid.server.core.service import Service
from pellucid.server.http.answers import json_response, list_response
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embed_inputs import OllamaEmbedBody, OllamaEmbeddingsBody
from pellucid.server.http.embedding import embed, tokenize_input
from pellucid.server.http.outputs import (
    OllamaEmbedding,
    OllamaEmbeddings,
    OllamaFailure,
    OllamaModels,
    error_responses,
)
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.serving import find_service, serving_of

router = APIRouter(prefix="/api", tags=["Ollama"], route_class=DirectRoute)
_TAG = ":latest"
"""Ollama adds it to the names of models."""
_NO_DATE = "1970-01-01T00:00:00Z"


@post_route(router, "/embed", OllamaEmbedBody, OllamaEmbeddings, OllamaFailure, "Turn texts into vectors")
async def embed_texts(request: Request) -> Response:
    """One vector of length 1 for each text, in the texts' order. For no text or an empty one, none."""
    body = await read_body(request, OllamaEmbedBody)
    start = time.perf_counter_ns()
    service = await _service(request, body.model)
    loaded = time.perf_counter_ns()
    name = service.name if body.model is None else body.model
    durations = {"load_duration": loaded - start, "total_duration": loaded - start}
    if body.input in ("", []):  # So a client only loads the model.
        return json_response({"model": name, "embeddings": [], **durations, "prompt_eval_count": 0})
    texts = await tokenize_input(serving_of(request), request, service, body.input, truncate=body.truncate)
    vectors = await embed(request, service, texts, normalize=True, dimensions=body.dimensions)
    durations["total_duration"] = time.perf_counter_ns() - start
    end = {**durations, "prompt_eval_count": len(texts.tokens.ids)}
    return await list_response(
        request,
        vectors,
        lambda first, stop: vectors[first:stop].tolist(),
        texts.headers(),
        before=b'{"model":' + to_json(name) + b',"embeddings":[',
        after=b"]," + to_json(end)[1:],
    )


@post_route(router, "/embeddings", OllamaEmbeddingsBody, OllamaEmbedding, OllamaFailure, "Turn one text into a vector")
async def embed_text(request: Request) -> Response:
    """The vector of a text, as the model gives it. For an empty text, no numbers."""
    body = await read_body(request, OllamaEmbeddingsBody)
    service = await _service(request, body.model)
    if not body.prompt:
        return json_response({"embedding": []})
    texts = await tokenize_input(serving_of(request), request, service, body.prompt, truncate=True)
    vectors = await embed(request, service, texts)
    return json_response({"embedding": vectors[0].tolist()}, texts.headers())


@router.get(
    "/tags", response_model=OllamaModels, responses=error_responses(OllamaFailure, 401), summary="List the models"
)
async def tags(request: Request) -> Response:
    """The models that this server serves, loaded or not, and their aliases."""
    models = serving_of(request).models
    dtype = serving_of(request).settings.dtype
    listed = [_model(state.name, state, dtype) for state in models.states()]
    listed += [_model(alias, models.find(name), dtype) for alias, name in models.aliases().items()]
    return json_response({"models": listed})


async def _service(request: Request, name: str | None) -> Service[Embedder]:
    models = serving_of(request).models
    if name is not None and name not in (*models.names(), *models.aliases()):
        name = name.removesuffix(_TAG)
    return await find_service(request, name, Embedder)


def _model(name: str, state: State, option: str) -> dict[str, object]:
    # A model that is not loaded has not chosen what "auto" means.
    dtype = option if state.service is None else state.service.task.engine.dtype
    details = {"format": "safetensors", "family": state.kind or "", "families": None, "quantization_level": dtype}
    unknown = {"modified_at": _NO_DATE, "size": 0, "digest": ""}
    return {"name": name, "model": name, **unknown, "details": {"parent_model": "", "parameter_size": "", **details}}
