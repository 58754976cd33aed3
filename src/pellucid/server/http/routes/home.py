"""The home page, the API's description as a page, and the routes that monitor the server."""

from __future__ import annotations

import re
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid import __version__
from pellucid.server.core.models import State
from pellucid.server.http.description import api_page, with_examples
from pellucid.server.http.outputs import Health, OpenAIFailure, Stats, error_responses
from pellucid.server.http.page import home_page
from pellucid.server.http.serving import serving_of

router = APIRouter(tags=["The server"])
_HOST = re.compile(r"([\w.-]+|\[[0-9a-f:.]+\])(:\d+)?", re.ASCII | re.IGNORECASE)
"""A host that may be written into a command of the shell."""
_WITH_VECTORS = frozenset({"embedder", "sparse_embedder", "multi_vector_embedder"})


@router.get("/", include_in_schema=False)
async def home() -> Response:
    """The home page, which shows how texts become vectors."""
    content, policy = home_page()
    return Response(content, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """All routes on one page."""
    content, policy = api_page(_description(request), needs_key=bool(serving_of(request).settings.keys))
    return Response(content, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy})


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """All routes, for programs."""
    return Response(to_json(_description(request)), media_type="application/json")


@router.head("/health", include_in_schema=False)  # Some monitors use HEAD.
@router.get(
    "/health",
    response_model=Health,
    responses={503: {"model": Health, "description": "The server is stopping."}},
    summary="Check that the server is ready",
)
async def health(request: Request) -> Response:
    """Status 200 once the models are loaded, and 503 once the server is stopping. It is for load balancers."""
    serving = serving_of(request)
    status, code = ("stopping", 503) if serving.draining else ("ready", 200)
    return Response(to_json({"status": status}), code, media_type="application/json")


@router.get(
    "/ping",
    response_model=Health,
    responses={503: {"model": Health, "description": "The server is stopping."}},
    summary="The same as `/health`, for SageMaker",
)
async def ping(request: Request) -> Response:
    """Status 200 once the models are loaded, and 503 once the server is stopping."""
    return await health(request)


@router.get(
    "/stats", response_model=Stats, responses=error_responses(OpenAIFailure, 401), summary="Statistics for the page"
)
async def stats(request: Request) -> Response:
    """What each model has done, and what waits for it."""
    serving = serving_of(request)
    statistics = {
        "models": [_model_stats(state) for state in serving.models.states()],
        "uptime_s": time.monotonic() - serving.started_at,
        "version": __version__,
        "needs_key": bool(serving.settings.keys),
    }
    return Response(to_json(statistics), media_type="application/json")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **error_responses(OpenAIFailure, 401)},
    summary="Metrics for Prometheus",
)
async def metrics(request: Request) -> Response:
    """All metrics, in the text format of Prometheus."""
    return Response(serving_of(request).metrics.text(), headers={"content-type": "text/plain; version=0.0.4"})


def _description(request: Request) -> dict[str, Any]:
    """The OpenAPI description, with examples that call the server by the name that the client used."""
    serving = serving_of(request)
    host = request.headers.get("host", "")
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else "http"
    url = f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost:8080'}"
    model = serving.models.names()[0]
    return with_examples(request.app.openapi(), url, model=model, needs_key=bool(serving.settings.keys))


def _model_stats(state: State) -> dict[str, Any]:
    model_metrics, service = state.metrics, state.service
    requests, tokens = service.count_waiting() if service is not None else (0, 0)
    return {
        "name": state.name,
        "kind": state.kind,
        "dimensions": service.task.dimensions if service is not None and state.kind in _WITH_VECTORS else None,
        "max_tokens": service.task.max_tokens if service is not None else None,
        "loaded": service is not None,
        "requests": model_metrics.requests,
        "texts": model_metrics.texts,
        "tokens": model_metrics.tokens,
        "tokens_per_second": model_metrics.tokens_per_second(),
        "queued_requests": requests,
        "queued_tokens": tokens,
        "latency_ms": model_metrics.latency_ms(),
    }
