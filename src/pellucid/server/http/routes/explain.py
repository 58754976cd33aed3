"""Our own routes, which show what happens in the model: ``/trace`` and ``/compare`` for programs, ``/view`` for the
page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic_core import to_json

from pellucid.embedder import Embedder
from pellucid.embedding import EmbeddingTask
from pellucid.errors import (
    InputError,
    InvalidModelError,
    RequestError,
    TextError,
    UnsupportedModelError,
    VectorNotFiniteError,
    WrongModelKindError,
)
from pellucid.explain.render import contents
from pellucid.explain.score import ExplainedScore
from pellucid.explain.text_map import map_vectors
from pellucid.reranker import Reranker
from pellucid.server.core.kinds import in_words
from pellucid.server.core.service import Service
from pellucid.server.core.worker import Check
from pellucid.server.http import views
from pellucid.server.http.answers import PiecewiseResponse
from pellucid.server.http.bodies import read_body
from pellucid.server.http.embedding import embed, tokenize_input
from pellucid.server.http.inputs import CompareBody, MapBody, TraceBody
from pellucid.server.http.outputs import OpenAIFailure, View
from pellucid.server.http.routes.direct import DirectRoute, post_route
from pellucid.server.http.serving import find_service, serving_of, wait_or_cancel
from pellucid.server.http.texts import check_characters

router = APIRouter(tags=["Looking inside"], route_class=DirectRoute)
_ARRAYS_PARAMETER = {
    "name": "arrays",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": False},
    "description": "`true` sends the numbers of all arrays; `false` sends only their shapes.",
}
_FLAGS = {"true": True, "false": False}
_TRACE_NUMBER_BYTES = 4
"""The memory that a number takes in a trace."""
_WRITTEN_NUMBER_BYTES = 40
"""The memory that a number takes in a trace whose response contains it as digits."""
_VIEW_BYTES = 8_000_000
"""The most memory that a view takes."""


async def _trace_response(
    request: Request,
    model: str | None,
    text: str,
    make: Callable[[Embedder, Check], list[bytes]],
    *,
    arrays: bool = False,
) -> Response:
    """A response made from the trace of a text.

    Args:
        request: the request.
        model: the model's name, or None for the first embedder.
        text: the text to trace.
        make: makes the pieces of the response.
        arrays: the response has the numbers of all arrays.

    Raises:
        TextError: the text is too long to be shown.
        InputError: there are too many numbers for one response.
    """
    serving = serving_of(request)
    check_characters([text], serving.settings.limits.characters)
    service = await find_service(request, model, Embedder)
    (count,) = await _count_tokens(request, service, [text])
    numbers = views.trace_numbers(service.task.spec.encoder, count)
    if arrays and numbers > serving.settings.limits.answered_numbers:
        raise InputError(
            f"this trace has {numbers:,} numbers, but one response has at most "
            f"{serving.settings.limits.answered_numbers:,}. Shorten the text, or leave out ?arrays=true."
        )
    memory = numbers * (_WRITTEN_NUMBER_BYTES if arrays else _TRACE_NUMBER_BYTES) + _VIEW_BYTES
    return await _view_response(request, service, lambda check: make(service.task, check), memory)


async def _pair_response(request: Request, body: CompareBody, make: Callable[[views.PairTask], bytes]) -> Response:
    """A response made from two texts. If the request names no model, an embedder makes it, or else a reranker.

    Raises:
        TextError: a text is too long to be shown. The message gives its position.
    """
    serving = serving_of(request)
    check_characters(body.inputs, serving.settings.limits.characters)
    service: Service[Any] = await find_service(request, body.model, Embedder, Reranker, EmbeddingTask)
    task: views.PairTask = service.task
    counts = await _count_tokens(request, service, body.inputs)
    if isinstance(task, Reranker):
        counts = [sum(counts)]  # It reads both texts as one.
    numbers = sum(views.trace_numbers(task.spec.encoder, count) for count in counts)
    memory = numbers * _TRACE_NUMBER_BYTES + _VIEW_BYTES
    return await _view_response(request, service, lambda _: [make(task)], memory)


async def _count_tokens(request: Request, service: Service[Any], texts: list[str]) -> list[int]:
    """How many tokens of each text the model reads.

    Raises:
        TextError: a text is too long to be shown. The message gives its position.
    """
    most = serving_of(request).settings.limits.view_tokens
    tokens, _ = await wait_or_cancel(request, service.tokenize(texts, "", cut=True))
    counts: list[int] = tokens.lengths.tolist()
    for position, count in enumerate(counts):
        if count > most:
            raise TextError(f"text {position} has {count:,} tokens, but at most {most:,} can be shown. Shorten it.")
    return counts


async def _view_response(
    request: Request, service: Service[Any], make: Callable[[Check], list[bytes]], memory: int
) -> Response:
    """A response whose pieces are made in a thread, while the model stays loaded.

    Raises:
        VectorNotFiniteError: the model gave a number that is not finite.
        WrongModelKindError: the vectors of this model cannot be explained.
    """
    serving = serving_of(request)
    with serving.models.keep_loaded(service):
        try:
            pieces = await serving.make_view(request, make, memory=memory)
        except InvalidModelError as error:
            raise VectorNotFiniteError(str(error)) from None
        except UnsupportedModelError:  # Its message names the model's folder.
            raise WrongModelKindError(
                f"the vectors of the {in_words(service.kind)} {service.name!r} cannot be explained."
            ) from None
        return PiecewiseResponse(pieces)


def _flag(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "false").lower()
    if value not in _FLAGS:
        raise RequestError(400, f"{name} must be true or false.", "invalid_value", name)
    return _FLAGS[value]


@post_route(
    router, "/trace", TraceBody, View, OpenAIFailure, "Show every step from a text to its vector", _ARRAYS_PARAMETER
)
async def trace(request: Request) -> Response:
    """The same as `Embedder.trace(text).to_json()` in Python."""
    arrays = _flag(request, "arrays")
    body = await read_body(request, TraceBody)

    def make(embedder: Embedder, check: Check) -> list[bytes]:
        trace = embedder.trace(body.input, prompt_name=body.prompt_name)
        return list(views.trace_pieces(trace, check)) if arrays else [trace.to_json(arrays=False).encode()]

    return await _trace_response(request, body.model, body.input, make, arrays=arrays)


@post_route(
    router, "/compare", CompareBody, View, OpenAIFailure, "Explain why two texts are close, or why a pair has its score"
)
async def compare(request: Request) -> Response:
    """With an embedder, the same as `Embedder.compare(first, second).to_json()` in Python.

    With a sparse embedder or one of late interaction, the same as `explain(query, document).to_json()`: the terms that
    both texts have, or the token that each token of the query found.

    With a reranker, what `Reranker.explain(query, document)` finds, but of the attention only its shapes. If the texts
    are long, fewer parts are left out in turn than in Python. The score is that of the model's own activation, while
    `/rerank` gives scores from 0 to 1.
    """
    body = await read_body(request, CompareBody)
    first, second = body.inputs

    def make(task: views.PairTask) -> bytes:
        explained = views.explain_pair(task, first, second, body.prompt_name)
        if isinstance(explained, ExplainedScore):
            return explained.to_json(arrays=False).encode()
        return explained.to_json().encode()

    return await _pair_response(request, body, make)


@post_route(router, "/view/trace", TraceBody, View, OpenAIFailure, "The page's data for one text")
async def view_trace(request: Request) -> Response:
    """What the home page draws for one text."""
    body = await read_body(request, TraceBody)

    def make(embedder: Embedder, _: Check) -> list[bytes]:
        return [to_json(views.trace_view(embedder, body.input, body.prompt_name))]

    return await _trace_response(request, body.model, body.input, make)


@post_route(router, "/view/compare", CompareBody, View, OpenAIFailure, "The page's data for two texts")
async def view_compare(request: Request) -> Response:
    """What the home page draws for two texts."""
    body = await read_body(request, CompareBody)
    first, second = body.inputs

    def make(task: views.PairTask) -> bytes:
        return to_json(views.compare_view(task, first, second, body.prompt_name))

    return await _pair_response(request, body, make)


@post_route(router, "/view/map", MapBody, View, OpenAIFailure, "The page's data for many texts")
async def view_map(request: Request) -> Response:
    """What the home page draws for many texts."""
    body = await read_body(request, MapBody)
    serving = serving_of(request)
    views.check_map(body.inputs, serving.settings.limits.map_texts)
    service = await find_service(request, body.model, Embedder)
    texts = await tokenize_input(serving, request, service, body.inputs, prompt_name=None, truncate=True)
    normalize = None if service.task.spec.unit_length else True
    vectors = await embed(request, service, texts, normalize=normalize)

    def make(_: Check) -> list[bytes]:
        text_map = map_vectors(service.task.encoder, body.inputs, vectors, texts.cut_positions())
        return [to_json(contents.map_data(text_map))]

    return PiecewiseResponse(await serving.make_view(request, make, memory=_VIEW_BYTES))
