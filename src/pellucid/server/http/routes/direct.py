"""Routes on the way of every text: FastAPI describes them, and the request goes straight to the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from pellucid.server.http.inputs import Body, schema
from pellucid.server.http.outputs import failures

Route = TypeVar("Route", bound=Callable[..., Any])


class DirectRoute(APIRoute):
    """A route whose function takes the request and gives a response, and has nothing injected.

    So none of what FastAPI does for that is done, which takes as long as a short text does. Such a function reads its
    body with :func:`pellucid.server.http.bodies.read`.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)  # Which says so.
            return
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def post(
    router: APIRouter,
    path: str,
    takes: type[Body],
    gives: type[BaseModel],
    fails: type[BaseModel],
    summary: str,
    *parameters: dict[str, Any],
) -> Callable[[Route], Route]:
    """A route that reads its own body and parameters, described as if FastAPI did."""
    described = schema(takes) | ({"parameters": list(parameters)} if parameters else {})
    return router.post(path, response_model=gives, responses=failures(fails), openapi_extra=described, summary=summary)
