"""HTTP/1.1 with uvicorn and httptools, and with limits on how much clients send, and how slowly.

The server checks all input while it arrives. If a client breaks a limit, it gets an error response in JSON, and the
server closes the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pellucid.errors import RequestError
from pellucid.server.core.budget import Reservation
from pellucid.server.http.connections import Connections
from pellucid.server.http.errors import Failure
from pellucid.server.http.serving import CONNECTION, RESERVATION
from pellucid.server.http.wire import GracefulTransport, PipelineFlow, parser_failure, raw_response

_PIECE_BYTES = 2048
"""How many bytes the parser gets at a time. The data of one read may hold hundreds of short requests."""
_REQUEST_BYTES = 4096
"""Roughly the memory that the objects of one request take, without the bytes that the client sent."""
_HEADER_BYTES = 128
"""Roughly the memory that the objects of one header take."""
_LINGER_SECONDS = 2.0
"""How long to keep reading after the last response. If we closed at once, the client's system could discard it."""
_PAUSE_SECONDS = 0.05
_TCP_CLOSE = 7
"""The state TCP_CLOSE in Linux (include/net/tcp_states.h)."""


class Protocol(HttpToolsProtocol):
    """One connection.

    Args:
        connections: all connections of the server, with its limits and counts.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.app = cast("Any", functools.partial(self._run_request, self.app))
        self._connections = connections
        self._limits = connections.limits
        self._reservations: dict[RequestResponseCycle, Reservation] = {}
        self._unsent: list[Reservation] = []  # Of answered requests, while bytes of the responses are not sent yet.
        self._unparsed = b""
        self._body_left = 0
        self._header_bytes = self._header_count = self._bytes_without_progress = 0
        self._in_headers = self._made_progress = self._has_received = self._skipping_upgrade = False
        self._ignores_input = False  # Input is discarded, because one request has already been refused.
        self._has_finished = False  # The last response is written; only reading goes on for a while.
        self._last_active = self.loop.time()
        self._slow_since: float | None = None

    # Called by asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self._has_waiting)
        self._graceful_transport = GracefulTransport(self.transport, self.close_gracefully)
        self._connections.total += 1
        if not self._connections.make_room():
            self._refuse(Failure(503, "This server has too many connections. Try again later.", "too_many_connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone. Release the memory of its waiting requests; running requests release their own."""
        super().connection_lost(exc)
        for cycle, _ in self.pipeline:
            self._reservations.pop(cycle).release()
        self.pipeline.clear()
        for cycle in self._reservations:
            cycle.disconnected = True
            cycle.message_event.set()
        self._unparsed = b""
        self._release_unsent()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._unset_keepalive_if_required()
        self._has_received = True
        if self._ignores_input:
            # Discard the data, and pause, so that this takes no time from other clients' requests.
            self.flow.pause_reading()
            self.loop.call_later(_PAUSE_SECONDS, self._resume_reading)
            return
        if self._has_waiting():
            self._unparsed += data
            self.flow.pause_reading()
            return
        self._feed(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has closed its sending side. It still gets its responses if it reads."""
        if self._has_finished or not self._is_answering() or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        if self.scope["http_version"] == "1.1" and not self.cycle.response_started and not self.pipeline:
            # Every client skips this response. If the client has hung up, its system answers with a reset.
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.loop.call_later(0.05, self._abort_if_reset)
        return True

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        super().pause_writing()
        if self._slow_since is None:
            self._slow_since = self.loop.time()

    # Called by the parser

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._in_headers = self._made_progress = True
        self._header_bytes = self._header_count = self._body_left = 0
        self._last_active = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """A piece of the URL has arrived."""
        self._header_bytes += len(url)
        if self._header_bytes > self._limits.header_bytes:
            message = f"The URL is longer than {self._limits.header_bytes:,} bytes. Send texts in the body."
            raise RequestError(414, message, "url_too_long")
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has arrived, or a trailer after the last chunk of a body. Trailers are ignored."""
        self._header_bytes += len(name) + len(value)
        self._header_count += 1
        if self._header_bytes > self._limits.header_bytes or self._header_count > self._limits.headers:
            raise self._too_large_headers().error()
        if self._in_headers:
            name = name.lower()
            if name == b"content-length":
                self._body_left = int(value) if value.isdigit() else 0
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All headers have arrived."""
        self._made_progress = True
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._skipping_upgrade = True
            return
        reservation = self._connections.budget.reservation()
        reservation.take(_REQUEST_BYTES + 2 * self._header_bytes + _HEADER_BYTES * self._header_count)
        try:
            super().on_headers_complete()
        except BaseException:
            reservation.release()
            raise
        self._in_headers = False
        self._reservations[self.cycle] = reservation
        self.cycle.transport = cast("Any", self._graceful_transport)
        scope = cast("dict[str, Any]", self.scope)
        scope[RESERVATION], scope[CONNECTION] = reservation, self
        if self.scope["method"] == "CONNECT":
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body has arrived."""
        self._made_progress = True
        self._last_active = self.loop.time()
        self._body_left -= len(body)
        if not self.cycle.response_complete and (reservation := self._reservations.get(self.cycle)) is not None:
            reservation.take(len(body) + len(body) // 8)  # A growing bytearray has about an eighth of spare room.
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete."""
        self._made_progress = True
        self._body_left = 0
        if not self._skipping_upgrade:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """A response is written, at least to the system's buffer."""
        super().on_response_complete()
        self._last_active = self.loop.time()
        self.flow.resume_reading()
        if self.transport.is_closing() or self.pipeline:
            return
        if self._has_finished:
            return
        if self._ignores_input:
            self._finish()
        elif self._unparsed:
            data, self._unparsed = self._unparsed, b""
            self._unset_keepalive_if_required()
            self._feed(data)

    # Called by other parts of the server

    def end_if_slow(self, now: float) -> None:
        """End the connection if its client is too slow. Called about once a second."""
        if self.transport.get_write_buffer_size() == 0:
            self._release_unsent()
            if not self._is_answering():
                self._slow_since = None
        if self._has_finished:
            if now - self._last_active > _LINGER_SECONDS:
                self.transport.abort()
        elif self._slow_since is not None and now - self._slow_since > self._limits.answer_seconds:
            self._connections.count_refusal("slow_reader")
            self.transport.abort()
        elif self._in_headers:
            if now - self._last_active > self._limits.header_seconds:
                message = f"The headers did not arrive within {self._limits.header_seconds:g} s."
                self._refuse(Failure(408, message, "slow_request"))
        elif self._is_answering():
            self._abort_if_reset()
            has_paused = now - self._last_active > self._limits.pause_seconds
            if self.cycle.more_body and not self.flow.read_paused and has_paused:
                message = f"No more of the body arrived for {self._limits.pause_seconds:g} s."
                self._refuse(Failure(408, message, "slow_request"))
        elif self.timeout_keep_alive_task is None and now - self._last_active > self.timeout_keep_alive:
            self.transport.close()

    def close_if_incomplete(self, scope: Mapping[str, Any]) -> None:
        """After an error response, close the connection if the body of the request has not fully arrived."""
        for cycle in self._reservations:
            if cycle.scope is scope and cycle.more_body:
                cycle.keep_alive = False

    def close_gracefully(self) -> None:
        """Close the connection. A client that is still sending can first read its response."""
        if self.cycle.more_body and not self._has_finished:
            self._finish()
        elif not self._has_finished:
            self.transport.close()

    def is_idle(self) -> bool:
        """True if every request has been answered and no new one has begun."""
        return not self._is_answering() and not self._in_headers

    @property
    def has_received(self) -> bool:
        """True if the client has sent anything."""
        return self._has_received

    @property
    def last_active(self) -> float:
        """The event loop's time when something last happened on this connection."""
        return self._last_active

    # Our own

    def _feed(self, data: bytes) -> None:
        """Give bytes to the parser, piece by piece, until the client must wait or breaks a limit."""
        start = 0
        while start < len(data) and not self._ignores_input and not self.transport.is_closing():
            if self.pipeline:
                self._unparsed = data[start:]
                self.flow.pause_reading()
                return
            stop = start + max(_PIECE_BYTES, self._body_left)
            piece = data if start == 0 and stop >= len(data) else data[start:stop]
            self._made_progress = False
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._skipping_upgrade:  # What follows CONNECT is not HTTP.
                    return
                self._parse_without_upgrade()
                start += upgrade.args[0]
                continue
            except httptools.HttpParserError as error:
                self._refuse(parser_failure(error))
                return
            self._bytes_without_progress = 0 if self._made_progress else self._bytes_without_progress + len(piece)
            # An endless header, trailer or chunk extension brings no progress.
            if self._bytes_without_progress > self._limits.header_bytes:
                self._refuse(self._too_large_headers())
                return
            start += len(piece)

    def _parse_without_upgrade(self) -> None:
        """Parse the headers of a request again, without the request to switch to another protocol.

        HTTP lets a server ignore such a request. The parser, however, takes everything after the headers for the other
        protocol, including the body.
        """
        self._skipping_upgrade = False
        kept = [pair for pair in self.headers if pair[0] not in (b"upgrade", b"connection", b"http2-settings")]
        options = b",".join(value for name, value in self.headers if name == b"connection").lower().split(b",")
        if b"close" in [option.strip() for option in options]:
            kept.append((b"connection", b"close"))
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(line + b"".join(b"%b: %b\r\n" % pair for pair in kept) + b"\r\n")

    def _has_waiting(self) -> bool:
        """True if the client has sent more requests before it got the response to an earlier one."""
        return bool(self._unparsed or self.pipeline)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, failure: Failure) -> None:
        """Send an error response after the responses to earlier requests, and close the connection."""
        if self._ignores_input:
            return
        self._ignores_input = True
        self._unparsed = b""
        self._connections.count_refusal(failure.code)
        if not self._is_answering():
            self._finish(failure)
        elif self.cycle.more_body:  # The last request will never be complete.
            waiting = [cycle for cycle, _ in self.pipeline]
            if self.cycle in waiting:
                self.pipeline.popleft()
                self._reservations.pop(self.cycle).release()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._finish(None if self.cycle.response_started else failure)

    def _finish(self, failure: Failure | None = None) -> None:
        """Write the last response, close our sending side, and give the client time to read."""
        self._ignores_input = self._has_finished = True
        self._last_active = self.loop.time()
        if failure is not None and not self.transport.is_closing():
            self.transport.write(raw_response(failure, self.server_state.default_headers))
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        with contextlib.suppress(OSError, RuntimeError):  # The client may be gone already.
            self.transport.write_eof()

    def _resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _abort_if_reset(self) -> None:
        """Abort if the client has hung up. Once its sending side is closed, asyncio does not report that."""
        client = self.transport.get_extra_info("socket")
        if client is None or not hasattr(socket, "TCP_INFO") or self.transport.is_closing():
            return
        with contextlib.suppress(OSError):
            if client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE:
                self.transport.abort()

    async def _run_request(self, app: Callable[..., Awaitable[None]], scope: Any, receive: Any, send: Any) -> None:
        """Run the app for one request. Then release its memory, except for what the client has not read yet."""
        try:
            await app(scope, receive, send)
        finally:
            self._release(scope[RESERVATION])

    def _release(self, reservation: Reservation) -> None:
        self._reservations = {cycle: kept for cycle, kept in self._reservations.items() if kept is not reservation}
        unsent_bytes = 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()
        reservation.shrink(unsent_bytes)
        if unsent_bytes:
            self._unsent.append(reservation)

    def _release_unsent(self) -> None:
        for reservation in self._unsent:
            reservation.release()
        self._unsent.clear()

    def _too_large_headers(self) -> Failure:
        message = f"At most {self._limits.headers} headers of {self._limits.header_bytes:,} bytes together are allowed."
        return Failure(431, message, "headers_too_large")
