"""Ours: looking inside. ``/trace`` and ``/compare`` for programs, ``/view`` for the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.errors import InputError, RequestError, TextError
from pellucid.explain.render import contents
from pellucid.explain.text_map import map_of
from pellucid.server.core.worker import Check
from pellucid.server.http import views
from pellucid.server.http.answers import Pieces
from pellucid.server.http.bodies import read
from pellucid.server.http.inputs import CompareBody, MapBody, TraceBody
from pellucid.server.http.outputs import OpenAIFailure, View
from pellucid.server.http.routes.direct import DirectRoute, post
from pellucid.server.http.serving import attended, check_characters, embedded, prepared, serving_of

router = APIRouter(tags=["Looking inside"], route_class=DirectRoute)
_ARRAYS = {
    "name": "arrays",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": False},
    "description": "Whether the numbers are there, or only their shapes.",
}
_FLAGS = {"true": True, "false": False}
_KEPT_BYTES, _WRITTEN_BYTES, _ANSWER_BYTES = 4, 40, 8_000_000
"""What a number takes in a trace, what it takes if it is also written out, and what a view takes at most."""


async def _traced(
    request: Request,
    model: str | None,
    texts: list[str],
    make: Callable[[Embedder, Check], list[bytes]],
    *,
    arrays: bool = False,
) -> Response:
    """What is made of the traces of texts, if they are short enough for all of it to be shown."""
    serving = serving_of(request)
    limits = serving.settings.limits
    check_characters(texts, limits.characters)
    service = await serving.models.get(model)
    tokens, _ = await attended(request, service.tokenize(texts, "", cut=True))
    counts: list[int] = tokens.lengths.tolist()
    for position, count in enumerate(counts):
        if count > limits.view_tokens:
            most = f"at most {limits.view_tokens:,} can be shown"
            raise TextError(f"text {position} has {count:,} tokens, and {most}. Shorten it.")
    numbers = sum(views.trace_numbers(service.embedder.spec.encoder, count) for count in counts)
    if arrays and numbers > limits.answered_numbers:
        raise InputError(
            f"this trace has {numbers:,} numbers, and an answer has at most {limits.answered_numbers:,}. Shorten the "
            f"text, or leave out ?arrays=true."
        )
    memory = numbers * (_WRITTEN_BYTES if arrays else _KEPT_BYTES) + _ANSWER_BYTES
    with serving.models.used(service):
        return Pieces(await serving.view(request, lambda check: make(service.embedder, check), memory=memory))


def _flag(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "false").lower()
    if given not in _FLAGS:
        raise RequestError(400, f"{name} must be true or false.", "invalid_value", name)
    return _FLAGS[given]


@post(router, "/trace", TraceBody, View, OpenAIFailure, "Every stage of a text's way to its vector", _ARRAYS)
async def trace(request: Request) -> Response:
    """What ``Embedder.trace(text).to_json()`` gives."""
    arrays = _flag(request, "arrays")
    body = await read(request, TraceBody)

    def make(embedder: Embedder, check: Check) -> list[bytes]:
        found = embedder.trace(body.input, prompt_name=body.prompt_name)
        return list(views.trace_pieces(found, check)) if arrays else [found.to_json(arrays=False).encode()]

    return await _traced(request, body.model, [body.input], make, arrays=arrays)


@post(router, "/compare", CompareBody, View, OpenAIFailure, "Why two texts are close")
async def compare(request: Request) -> Response:
    """What ``Embedder.compare(a, b).to_json()`` gives."""
    body = await read(request, CompareBody)
    first, second = body.inputs

    def make(embedder: Embedder, _: Check) -> list[bytes]:
        return [embedder.compare(first, second, prompt_name=body.prompt_name).to_json().encode()]

    return await _traced(request, body.model, body.inputs, make)


@post(router, "/view/trace", TraceBody, View, OpenAIFailure, "One text, as the page shows it")
async def view_trace(request: Request) -> Response:
    """What the page draws of one text."""
    body = await read(request, TraceBody)

    def make(embedder: Embedder, _: Check) -> list[bytes]:
        return _written(views.trace_view(embedder, body.input, body.prompt_name))

    return await _traced(request, body.model, [body.input], make)


@post(router, "/view/compare", CompareBody, View, OpenAIFailure, "Two texts, as the page shows them")
async def view_compare(request: Request) -> Response:
    """What the page draws of two texts."""
    body = await read(request, CompareBody)
    first, second = body.inputs

    def make(embedder: Embedder, _: Check) -> list[bytes]:
        return _written(views.compare_view(embedder, first, second, body.prompt_name))

    return await _traced(request, body.model, body.inputs, make)


@post(router, "/view/map", MapBody, View, OpenAIFailure, "Many texts, as the page shows them")
async def view_map(request: Request) -> Response:
    """What the page draws of many texts."""
    body = await read(request, MapBody)
    serving = serving_of(request)
    views.check_map(body.inputs, serving.settings.limits.map_texts)
    service = await serving.models.get(body.model)
    ready = await prepared(serving, request, service, body.inputs, prompt_name=None, truncate=True)
    unit = None if service.embedder.spec.unit_length else True
    vectors = await embedded(serving, request, service, ready, normalize=unit)

    def make(_: Check) -> list[bytes]:
        return _written(contents.of_map(map_of(service.embedder.encoder, body.inputs, vectors, ready.cut())))

    return Pieces(await serving.view(request, make, memory=_ANSWER_BYTES))


def _written(view: dict[str, Any]) -> list[bytes]:
    return [to_json(view)]
