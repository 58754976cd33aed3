"""Ours: looking inside. ``/trace`` and ``/compare`` for programs, ``/view`` for the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.errors import TextError
from pellucid.server import views
from pellucid.server.inputs import CompareBody, MapBody, TraceBody, read
from pellucid.server.outputs import OpenAIFailure, View
from pellucid.server.routes.direct import post
from pellucid.server.serving import check_characters, serving_of

router = APIRouter(tags=["Looking inside"])


async def _viewed(request: Request, model: str | None, texts: list[str], make: Callable[[Embedder], bytes]) -> Response:
    serving = serving_of(request)
    check_characters(texts, serving.settings.limits.characters)
    service = await serving.models.get(model)
    with serving.models.used(service):
        made = await serving.view(request, lambda: make(service.embedder))
    return Response(made, media_type="application/json")


async def _looked_into(
    request: Request, model: str | None, texts: list[str], make: Callable[[Embedder], bytes]
) -> Response:
    most = serving_of(request).settings.limits.view_tokens

    def checked(embedder: Embedder) -> bytes:
        for position, count in enumerate(embedder.count_tokens(texts).clip(max=embedder.max_tokens).tolist()):
            if count > most:
                raise TextError(f"text {position} has {count:,} tokens; of at most {most:,} all is shown. Shorten it.")
        return make(embedder)

    return await _viewed(request, model, texts, checked)


@post(router, "/trace", TraceBody, View, OpenAIFailure, "Every stage of a text's way to its vector")
async def trace(
    request: Request,
    arrays: Annotated[bool, Query(description="Whether the numbers are there, or only their shapes.")] = False,
) -> Response:
    """What ``Embedder.trace(text).to_json()`` gives."""
    body = await read(request, TraceBody)

    def make(embedder: Embedder) -> bytes:
        return embedder.trace(body.input, prompt_name=body.prompt_name).to_json(arrays=arrays).encode()

    return await _looked_into(request, body.model, [body.input], make)


@post(router, "/compare", CompareBody, View, OpenAIFailure, "Why two texts are close")
async def compare(request: Request) -> Response:
    """What ``Embedder.compare(a, b).to_json()`` gives."""
    body = await read(request, CompareBody)

    def make(embedder: Embedder) -> bytes:
        return embedder.compare(*body.inputs, prompt_name=body.prompt_name).to_json().encode()

    return await _looked_into(request, body.model, body.inputs, make)


@post(router, "/view/trace", TraceBody, View, OpenAIFailure, "One text, as the page shows it")
async def view_trace(request: Request) -> Response:
    """What the page draws of one text."""
    body = await read(request, TraceBody)
    return await _looked_into(
        request, body.model, [body.input], lambda e: to_json(views.trace_view(e, body.input, body.prompt_name))
    )


@post(router, "/view/compare", CompareBody, View, OpenAIFailure, "Two texts, as the page shows them")
async def view_compare(request: Request) -> Response:
    """What the page draws of two texts."""
    body = await read(request, CompareBody)
    first, second = body.inputs
    return await _looked_into(
        request, body.model, body.inputs, lambda e: to_json(views.compare_view(e, first, second, body.prompt_name))
    )


@post(router, "/view/map", MapBody, View, OpenAIFailure, "Many texts, as the page shows them")
async def view_map(request: Request) -> Response:
    """What the page draws of many texts."""
    body = await read(request, MapBody)
    return await _viewed(request, body.model, body.inputs, lambda e: to_json(views.map_view(e, body.inputs)))
