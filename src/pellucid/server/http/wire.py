"""Small parts of a connection: how its end is put off, how reading is held back, and answers to what is no request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pellucid.errors import PellucidError
from pellucid.server.http.errors import Failure, failure_of


class Gentle:
    """A transport as uvicorn needs it for one answer; its end is gentle."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Flow(FlowControl):
    """Reads nothing more while whole requests wait, whoever asks for it."""

    def __init__(self, transport: asyncio.Transport, behind: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._behind = behind

    def resume_reading(self) -> None:
        """Read again, if nothing waits."""
        if not self._behind():
            super().resume_reading()


def failure_in(error: httptools.HttpParserError) -> Failure:
    """What we said ourselves while the parser was at work, or that it found no HTTP."""
    cause = error.__context__
    if isinstance(cause, PellucidError):
        return failure_of(cause)
    return Failure(400, "This is not a valid HTTP/1.1 request.", "invalid_http")


def written(failure: Failure, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The bytes of an answer that ends its connection, with these headers before its own."""
    body = failure.body("")
    own = [(name.encode(), value.encode()) for name, value in failure.headers().items()]
    own += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    return b"".join([STATUS_LINE[failure.status], *(b"%b: %b\r\n" % pair for pair in [*headers, *own]), b"\r\n", body])
