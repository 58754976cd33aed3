"""The home page, the API's description as a page, and the routes that monitor the server."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid import __version__
from pellucid.server.core.models import State
from pellucid.server.http.description import api_page
from pellucid.server.http.outputs import Health, OpenAIFailure, Stats, error_responses
from pellucid.server.http.page import home_page
from pellucid.server.http.serving import serving_of

router = APIRouter(tags=["The server"])


@router.get("/", include_in_schema=False)
async def home() -> Response:
    """The home page, which shows how texts become vectors."""
    content, policy = home_page()
    return Response(content, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """All routes on one page."""
    content, policy = api_page(request.app.openapi())
    return Response(content, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy})


@router.head("/health", include_in_schema=False)  # Some monitors use HEAD.
@router.get(
    "/health",
    response_model=Health,
    responses={503: {"model": Health, "description": "The server is stopping."}},
    summary="Check that the server is ready",
)
async def health(request: Request) -> Response:
    """200 once the models are loaded, and 503 once the server is stopping. For load balancers and Kubernetes."""
    serving = serving_of(request)
    status, code = ("stopping", 503) if serving.draining else ("ready", 200)
    return Response(to_json({"status": status}), code, media_type="application/json")


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
    """All metrics in Prometheus' text format."""
    return Response(serving_of(request).metrics.text(), headers={"content-type": "text/plain; version=0.0.4"})


def _model_stats(state: State) -> dict[str, Any]:
    model_metrics, service = state.metrics, state.service
    requests, tokens = service.count_waiting() if service is not None else (0, 0)
    return {
        "name": state.name,
        "dimensions": service.embedder.dimensions if service is not None else 0,
        "max_tokens": service.embedder.max_tokens if service is not None else 0,
        "loaded": service is not None,
        "requests": model_metrics.requests,
        "texts": model_metrics.texts,
        "tokens": model_metrics.tokens,
        "tokens_per_second": model_metrics.tokens_per_second(),
        "queued_requests": requests,
        "queued_tokens": tokens,
        "latency_ms": model_metrics.latency_ms(),
    }
