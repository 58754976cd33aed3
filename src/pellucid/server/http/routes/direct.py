"""Routes that skip FastAPI's own request handling. FastAPI only describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from pellucid.server.http.inputs import Body, openapi_body
from pellucid.server.http.outputs import error_responses

Route = TypeVar("Route", bound=Callable[..., Any])


class DirectRoute(APIRoute):
    """A route whose function takes the request, returns the response, and gets nothing injected.

    This skips FastAPI's dependency injection, which takes as long as embedding a short text. The function reads its
    body with :func:`pellucid.server.http.bodies.read_body`.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # It answers that the method is not allowed.
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def post_route(
    router: APIRouter,
    path: str,
    body: type[Body] | tuple[type[Body], ...],
    response: type[BaseModel],
    error: type[BaseModel],
    summary: str,
    *parameters: dict[str, Any],
) -> Callable[[Route], Route]:
    """A decorator for a POST route that reads its own body and parameters.

    Args:
        router: the router to add the route to.
        path: the route's path.
        body: the request's body, or the bodies that it may have, for the description.
        response: the shape of the response, for the description.
        error: the shape of error responses, for the description.
        summary: a short phrase that says what the route does, in Markdown, like the function's docstring.
        parameters: OpenAPI descriptions of query parameters.
    """
    extra = openapi_body(*(body if isinstance(body, tuple) else (body,))) | (
        {"parameters": list(parameters)} if parameters else {}
    )
    responses = error_responses(error)
    return router.post(path, response_model=response, responses=responses, openapi_extra=extra, summary=summary)
