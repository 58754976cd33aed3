"""The app: the routes, what they share, and what stands before them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from pellucid import __version__
from pellucid.errors import PellucidError
from pellucid.server.failures import Failure, failure_of, is_for_the_log
from pellucid.server.figures import Metrics
from pellucid.server.gate import App, Gate, logger
from pellucid.server.models import Models
from pellucid.server.routes import explain, home, openai, tei
from pellucid.server.serving import Serving
from pellucid.server.settings import Settings


def create(settings: Settings) -> tuple[App, Serving]:
    """The app as a server runs it, and what it has.

    Nothing is loaded yet: that is the first thing that it does when it is run.

    Raises:
        OptionError: two models would have one name.
    """
    metrics = Metrics()
    serving = Serving(settings, metrics, Models(settings, metrics))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.models.start()
        yield
        serving.models.close()

    app = FastAPI(
        title="Pellucid",
        version=__version__,
        summary="Text to vectors, with the models that this server has.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.serving = serving
    for router in (openai.router, tei.router, explain.router, home.router):
        app.include_router(router)
    app.add_exception_handler(PellucidError, _failed)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(Exception, _failed)  # Starlette raises it once more, and the gate logs it.
    gate: App = Gate(app, serving)
    if settings.origins:
        gate = CORSMiddleware(
            gate,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "x-pellucid-truncated", "retry-after"],
        )
    return gate, serving


async def _failed(request: Request, error: Exception) -> Response:
    failure = failure_of(error)
    if isinstance(error, PellucidError) and is_for_the_log(error):
        logger.error("failed", exc_info=error.__cause__ or error)
    return _answer(request, failure)


async def _not_routed(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    status = getattr(error, "status_code", 404)
    path = request.url.path[:80]
    words = f"{request.method} {path!r} is not asked here. GET /docs says what is."
    allowed = {name: value for name, value in (getattr(error, "headers", None) or {}).items() if name == "Allow"}
    response = _answer(request, Failure(status, words, "not_found" if status == 404 else "method_not_allowed"))  # noqa: PLR2004
    response.headers.update(allowed)
    return response


def _answer(request: Request, failure: Failure) -> Response:
    return Response(failure.body(request.url.path), failure.status, failure.headers())
