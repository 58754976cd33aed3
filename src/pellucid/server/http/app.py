"""The app: the routes, what they share, and what stands before them."""

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
from pellucid.server.http.errors import Failure, failure_of, is_for_the_log
from pellucid.server.http.gate import App, Gate, logger
from pellucid.server.http.inputs import with_limits
from pellucid.server.http.routes import explain, home, openai, tei
from pellucid.server.http.serving import Serving
from pellucid.server.settings import Limits, Settings


def create(settings: Settings) -> tuple[App, Serving]:
    """The app as a server runs it, and what its routes share. The models are loaded when it starts.

    Raises:
        OptionError: two models would have one name.
    """
    metrics = Metrics()
    serving = Serving(settings, metrics, Models(settings, metrics))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.models.start()
        watching = asyncio.create_task(serving.connections.watch())
        yield
        watching.cancel()
        serving.close()

    app = FastAPI(
        title="Pellucid",
        version=__version__,
        summary="Text to vectors, with the models that this server has.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.serving = serving
    routers = openai.router, tei.router, explain.router, home.router
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(PellucidError, _failed)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)  # Starlette raises it once more, and the gate logs it.
    app.openapi = functools.partial(_described, app, app.openapi, settings.limits)  # type: ignore[method-assign]
    posts = {
        route.path
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and "POST" in (route.methods or ())
    }
    gate: App = Gate(app, serving, posts.__contains__)
    if settings.origins:
        gate = CORSMiddleware(
            gate,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "x-pellucid-truncated", "retry-after"],
        )
    return gate, serving


def _described(app: FastAPI, describe: Callable[[], dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """The description of the API, with this server's limits."""
    if app.openapi_schema is None:
        app.openapi_schema = with_limits(describe(), limits)
    return app.openapi_schema


async def _failed(request: Request, error: Exception) -> Response:
    failure = failure_of(error)
    if isinstance(error, PellucidError) and is_for_the_log(error):
        logger.error("failed", exc_info=error.__cause__ or error)
    return _answer(request, failure)


async def _not_routed(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    status = getattr(error, "status_code", 404)
    path = request.url.path[:80]
    words = f"There is no {request.method} {path!r} here. GET /docs lists what there is."
    allowed = {name: value for name, value in (getattr(error, "headers", None) or {}).items() if name == "Allow"}
    response = _answer(request, Failure(status, words, "not_found" if status == 404 else "method_not_allowed"))  # noqa: PLR2004
    response.headers.update(allowed)
    return response


def _answer(request: Request, failure: Failure) -> Response:
    cast("Serving", request.app.state.serving).metrics.failed(failure.status, failure.code)
    return Response(failure.body(request.url.path), failure.status, failure.headers())
