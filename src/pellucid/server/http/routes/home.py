"""The page, the API's description as a page, and what those ask who watch over the server."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid import __version__
from pellucid.server.core.models import State
from pellucid.server.http.description import described
from pellucid.server.http.outputs import Health, OpenAIFailure, Stats, failures
from pellucid.server.http.page import home
from pellucid.server.http.serving import serving_of

router = APIRouter(tags=["The server"])


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page to look inside."""
    content, policy = home()
    return Response(content, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """What the API can be asked, as one page."""
    content, policy = described(request.app.openapi())
    return Response(content, media_type="text/html; charset=utf-8", headers={"content-security-policy": policy})


@router.head("/health", include_in_schema=False)  # As some that watch over servers ask.
@router.get(
    "/health",
    response_model=Health,
    responses={503: {"model": Health, "description": "No more."}},
    summary="Whether requests are answered",
)
async def health(request: Request) -> Response:
    """200 once the models are loaded, until the server is told to stop; for load balancers and Kubernetes."""
    serving = serving_of(request)
    status, code = ("stopping", 503) if serving.draining else ("ready", 200)
    return Response(to_json({"status": status}), code, media_type="application/json")


@router.get("/stats", response_model=Stats, responses=failures(OpenAIFailure, 401), summary="Figures, for the page")
async def stats(request: Request) -> Response:
    """What each model did, and does."""
    serving = serving_of(request)
    told = {
        "models": [_figures(state) for state in serving.models.states()],
        "uptime_s": time.monotonic() - serving.started,
        "version": __version__,
        "needs_key": bool(serving.settings.keys),
    }
    return Response(to_json(told), media_type="application/json")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **failures(OpenAIFailure, 401)},
    summary="Figures, for Prometheus",
)
async def metrics(request: Request) -> Response:
    """In Prometheus' text format."""
    return Response(serving_of(request).metrics.text(), headers={"content-type": "text/plain; version=0.0.4"})


def _figures(state: State) -> dict[str, Any]:
    figures, service = state.figures, state.service
    requests, tokens = service.waiting() if service is not None else (0, 0)
    return {
        "name": state.name,
        "dimensions": service.embedder.dimensions if service is not None else 0,
        "max_tokens": service.embedder.max_tokens if service is not None else 0,
        "loaded": service is not None,
        "requests": figures.requests,
        "texts": figures.texts,
        "tokens": figures.tokens,
        "tokens_per_second": figures.tokens_per_second(),
        "queued_requests": requests,
        "queued_tokens": tokens,
        "latency_ms": figures.latency_ms(),
    }
