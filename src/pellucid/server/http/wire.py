"""Small parts of a connection: a transport that closes gracefully, paused reading, and raw error responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pellucid.errors import PellucidError
from pellucid.server.http.errors import Failure, failure_of


class GracefulTransport:
    """The transport as uvicorn uses it for one response, but with another way to close it.

    Args:
        transport: the connection's transport.
        close: called in place of ``transport.close``.
    """

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class PipelineFlow(FlowControl):
    """Does not resume reading while earlier requests wait, even if uvicorn wants to.

    Args:
        transport: the connection's transport.
        has_waiting: returns True while requests wait.
    """

    def __init__(self, transport: asyncio.Transport, has_waiting: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._has_waiting = has_waiting

    def resume_reading(self) -> None:
        """Read again, unless requests wait."""
        if not self._has_waiting():
            super().resume_reading()


def parser_failure(error: httptools.HttpParserError) -> Failure:
    """The failure to report for a parser error: our own error that a callback raised, or that this is not HTTP."""
    cause = error.__context__
    if isinstance(cause, PellucidError):
        return failure_of(cause)
    return Failure(400, "This is not a valid HTTP/1.1 request.", "invalid_http")


def raw_response(failure: Failure, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The bytes of an error response that closes its connection.

    Args:
        failure: the error.
        headers: headers that go before those of the failure.
    """
    body = failure.body("")
    own = [(name.encode(), value.encode()) for name, value in failure.headers().items()]
    own += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    return b"".join([STATUS_LINE[failure.status], *(b"%b: %b\r\n" % pair for pair in [*headers, *own]), b"\r\n", body])
