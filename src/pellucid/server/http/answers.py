"""JSON responses. Short ones are written on the event loop; long ones in a thread, and sent as the client reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from pellucid.server.core.service import Service, split_parts
from pellucid.server.core.worker import Check
from pellucid.server.http.serving import reservation_of, serving_of, wait_or_cancel
from pellucid.task import Task
from pellucid.types import Float32

_SHORT_NUMBERS = 30_000
"""Up to this many numbers are written on the event loop, which takes some milliseconds. More go to a thread."""
_SHORT_CHARACTERS = 200_000
"""The same for characters."""
_SLICE_NUMBERS = 50_000
"""How many numbers become Python objects at a time. As objects they take many times the memory of an array."""
_SEND_BYTES = 1 << 16


class PiecewiseResponse(Response):
    """A long JSON response, sent in pieces. The next piece goes out once the client has read the previous ones.

    Args:
        pieces: the bytes, in order.
        headers: additional headers.
    """

    def __init__(self, pieces: Sequence[bytes], headers: Mapping[str, str] | None = None) -> None:
        self._pieces = pieces
        length = {"content-length": str(sum(map(len, pieces)))}
        super().__init__(None, media_type="application/json", headers={**(headers or {}), **length})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces:
            for start in range(0, len(piece), _SEND_BYTES):
                body = piece[start : start + _SEND_BYTES]
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A short JSON response."""
    return Response(to_json(value), media_type="application/json", headers=dict(headers or {}))


async def long_json_response(
    request: Request, value: Any, characters: int, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON response that repeats texts of ``characters`` characters. A long one is written in a thread."""
    if characters <= _SHORT_CHARACTERS:
        return json_response(value, headers)
    written = await wait_or_cancel(request, serving_of(request).json_worker.run(lambda _: to_json(value)))
    reservation_of(request).take(len(written))
    return PiecewiseResponse([written], headers)


async def list_response(
    request: Request,
    rows: Float32,
    values: Callable[[int, int], list[Any]],
    headers: Mapping[str, str],
    *,
    count: int | None = None,
    before: bytes = b"[",
    after: bytes = b"]",
) -> Response:
    """A response that is, or contains, a list with one value for each text.

    Args:
        request: the request.
        rows: the numbers of all values, ``float32[n, d]``. Only how many there are matters here.
        values: returns the values from one position up to another.
        headers: the response's headers.
        count: the number of values, if it is not the number of rows.
        before: the JSON before the first value, with the opening bracket.
        after: the JSON after the last value, with the closing bracket.
    """
    count = len(rows) if count is None else count
    if rows.size <= _SHORT_NUMBERS:
        content = before + to_json(values(0, count))[1:-1] + after
        return Response(content, media_type="application/json", headers=dict(headers))
    step = max(1, _SLICE_NUMBERS * count // rows.size)

    def write(check: Check) -> list[bytes]:
        pieces = [before]
        for start in range(0, count, step):
            check()
            pieces.append((b"," if start else b"") + to_json(values(start, min(start + step, count)))[1:-1])
        return [*pieces, after]

    return PiecewiseResponse(await wait_or_cancel(request, serving_of(request).json_worker.run(write)), headers)


async def tokenizer_response(
    request: Request,
    service: Service[Task],
    items: Sequence[Any],
    max_length: int,
    values: Callable[[Sequence[Any]], Any],
) -> Response:
    """A response that lists what the tokenizer makes of each item. The work takes turns with other requests.

    Args:
        request: the request.
        service: the model.
        items: texts, or lists of ids.
        max_length: how many characters or ids to work on before other requests get a turn.
        values: returns the list of values for some consecutive items.
    """
    pieces = [b"["]
    for number, part in enumerate(split_parts(items, max_length)):

        def write(check: Check, part: Sequence[Any] = part) -> bytes:
            return b",".join(to_json(values(item))[1:-1] for item in _one_by_one(part, check))

        written = await wait_or_cancel(request, service.run_in_tokenizer(write, sum(map(len, part))))
        reservation_of(request).take(len(written))
        pieces.append((b"," if number else b"") + written)
    return PiecewiseResponse([*pieces, b"]"])


def _one_by_one(part: Sequence[Any], check: Check) -> Iterator[Sequence[Any]]:
    """Each item as a list of one, after checking that somebody still waits for the response."""
    for item in part:
        check()
        yield [item]
