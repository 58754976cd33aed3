"""Answers in JSON: short ones are written on the event loop, long ones in a thread, and sent as they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from pellucid.server.core.service import Service, parts
from pellucid.server.core.worker import Check
from pellucid.server.http.serving import attended, hold_of, serving_of
from pellucid.types import Float32

_AT_ONCE_NUMBERS = 30_000
"""So many numbers are written on the event loop, within some milliseconds; more, in a thread."""
_SLICE_NUMBERS = 50_000
"""As objects of Python, numbers take many times as much as in an array: so many are objects at a time."""
_SENT_BYTES = 1 << 16


class Pieces(Response):
    """A long answer of JSON, in pieces that are sent one by one, each when the client has read those before.

    Args:
        pieces: the bytes, in order.
        headers: more headers.
    """

    def __init__(self, pieces: Sequence[bytes], headers: Mapping[str, str] | None = None) -> None:
        self._pieces = pieces
        length = {"content-length": str(sum(map(len, pieces)))}
        super().__init__(None, media_type="application/json", headers={**(headers or {}), **length})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces:
            for start in range(0, len(piece), _SENT_BYTES):
                body = piece[start : start + _SENT_BYTES]
                await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def json_answer(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A short answer."""
    return Response(to_json(value), media_type="application/json", headers=dict(headers or {}))


async def rows_answer(
    request: Request,
    rows: Float32,
    values: Callable[[int, int], list[Any]],
    headers: Mapping[str, str],
    *,
    count: int | None = None,
    before: bytes = b"[",
    after: bytes = b"]",
) -> Response:
    """An answer that is a list, or has one in it, with one value for each text.

    Args:
        request: who asked.
        rows: the numbers of all values, ``float32[n, d]``; only their count matters here.
        values: the values from one position to another.
        headers: of the answer.
        count: how many values there are, if not one for each row.
        before: what stands before the values, with the bracket.
        after: what stands after them, with the bracket.
    """
    count = len(rows) if count is None else count
    if rows.size <= _AT_ONCE_NUMBERS:
        content = before + to_json(values(0, count))[1:-1] + after
        return Response(content, media_type="application/json", headers=dict(headers))
    step = max(1, _SLICE_NUMBERS * count // rows.size)

    def write(check: Check) -> list[bytes]:
        pieces = [before]
        for start in range(0, count, step):
            check()
            pieces.append((b"," if start else b"") + to_json(values(start, min(start + step, count)))[1:-1])
        return [*pieces, after]

    return Pieces(await attended(request, serving_of(request).parsing.run(write)), headers)


async def answer_in_turn(
    request: Request, service: Service, items: Sequence[Any], characters: int, values: Callable[[Sequence[Any]], Any]
) -> Response:
    """An answer that is a list of what the tokenizer makes of each item, in turns with other requests.

    Args:
        request: who asked.
        service: the model.
        items: texts, or lists of ids.
        characters: how many of them are worked on before it is another request's turn.
        values: what stands in the answer for some of the items.
    """
    pieces = [b"["]
    for number, part in enumerate(parts(items, characters)):

        def write(check: Check, part: Sequence[Any] = part) -> bytes:
            return b",".join(to_json(values(one))[1:-1] for one in _one_by_one(part, check))

        written = await attended(request, service.in_turn(write, sum(map(len, part))))
        hold_of(request).take(len(written))
        pieces.append((b"," if number else b"") + written)
    return Pieces([*pieces, b"]"])


def _one_by_one(part: Sequence[Any], check: Check) -> Iterator[Sequence[Any]]:
    for item in part:
        check()
        yield [item]
