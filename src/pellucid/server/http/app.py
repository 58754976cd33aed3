"""The app: the routes, what they share, and the gate around them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from pellucid import __version__
from pellucid.errors import PellucidError
from pellucid.server.core.metrics import Metrics
from pellucid.server.core.models import Models
from pellucid.server.http.errors import Failure, failure_of, needs_log
from pellucid.server.http.gate import App, Gate, logger
from pellucid.server.http.inputs import fill_limits
from pellucid.server.http.routes import cohere, explain, home, jina, ollama, openai, rerank, tei
from pellucid.server.http.serving import Serving
from pellucid.server.settings import Limits, Settings


def create_app(settings: Settings) -> tuple[App, Serving]:
    """The app that a server runs, and what its routes share. The models are loaded when the app starts.

    Raises:
        OptionError: two models would have the same name.
    """
    metrics = Metrics()
    serving = Serving(settings, metrics, Models(settings, metrics))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.models.start()
        watcher = asyncio.create_task(serving.connections.watch())
        yield
        watcher.cancel()
        serving.close()

    app = FastAPI(
        title="Pellucid",
        version=__version__,
        summary="Turns texts into vectors, ranks and classifies them, with the models of this server.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.serving = serving
    routers = [each.router for each in (openai, tei, rerank, cohere, jina, ollama, explain, home)]
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(PellucidError, _handle_error)
    app.add_exception_handler(HTTPException, _handle_no_route)
    app.add_exception_handler(Exception, _handle_error)  # Starlette raises the error again, and the gate logs it.
    app.openapi = functools.partial(_describe, app, app.openapi, settings.limits)  # type: ignore[method-assign]
    posts = [
        route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and "POST" in (route.methods or ())
    ]
    fixed = {route.path for route in posts if "{" not in route.path}
    patterns = [route.path_regex for route in posts if "{" in route.path]
    gate: App = Gate(app, serving, lambda path: path in fixed or any(each.match(path) for each in patterns))
    if settings.origins:
        gate = CORSMiddleware(
            gate,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "api-key", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "x-pellucid-truncated", "retry-after"],
        )
    return gate, serving


def _describe(app: FastAPI, openapi: Callable[[], dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """The OpenAPI description of the app, with this server's limits."""
    if app.openapi_schema is None:
        app.openapi_schema = fill_limits(openapi(), limits)
    return app.openapi_schema


async def _handle_error(request: Request, error: Exception) -> Response:
    failure = failure_of(error)
    if isinstance(error, PellucidError) and needs_log(error):
        logger.error("failed", exc_info=error.__cause__ or error)
    return _respond(request, failure)


async def _handle_no_route(request: Request, error: Exception) -> Response:
    """Answer a request for a path that does not exist, or that does not take this method."""
    status = getattr(error, "status_code", 404)
    path = request.url.path[:80]
    message = f"This server has no {request.method} {path!r}. GET /docs lists its routes."
    allowed = {name: value for name, value in (getattr(error, "headers", None) or {}).items() if name == "Allow"}
    code = "not_found" if status == 404 else "method_not_allowed"  # noqa: PLR2004
    response = _respond(request, Failure(status, message, code))
    response.headers.update(allowed)
    return response


def _respond(request: Request, failure: Failure) -> Response:
    cast("Serving", request.app.state.serving).metrics.count_refusal(failure.status, failure.code)
    return Response(failure.body(request.url.path), failure.status, failure.headers())
