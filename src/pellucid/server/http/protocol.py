"""HTTP/1.1 as uvicorn and httptools speak it, within bounds: what a client sends, and how slowly, costs only so much.

Everything is judged while it arrives. What breaks a rule gets an answer in JSON, and its connection ends.
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
from pellucid.server.core.budget import Hold
from pellucid.server.http.connections import Connections
from pellucid.server.http.errors import Failure
from pellucid.server.http.serving import CONNECTION, HOLD
from pellucid.server.http.wire import Flow, Gentle, failure_in, written

_PIECE_BYTES = 2048
"""The parser gets so much at a time: hundreds of short requests may be in what one read gives."""
_REQUEST_BYTES = 4096
"""About what the objects of one request take, without what the client sent."""
_HEADER_BYTES = 128
"""About what the objects of one header take."""
_LINGER_SECONDS = 2.0
"""How long we listen after the last answer: closing at once would make the client's system throw the answer away."""
_PAUSE_SECONDS = 0.05
_CLOSED = 7
"""TCP_CLOSE in Linux' ``enum`` of states (include/net/tcp_states.h)."""


class Protocol(HttpToolsProtocol):
    """One connection.

    Args:
        connections: all of them, with what is allowed and counted.
    """

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self.app = cast("Any", functools.partial(self._run, self.app))
        self._connections = connections
        self._limits = connections.limits
        self._holds: dict[RequestResponseCycle, Hold] = {}
        self._unsent: list[Hold] = []
        self._rest = b""
        self._body_left = 0
        self._header_bytes = self._header_count = self._silent_bytes = 0
        self._in_headers = self._progress = self._ending = self._ended = self._used = self._upgrading = False
        self._since = self.loop.time()
        self._slow_since: float | None = None

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        super().connection_made(transport)
        self.flow = Flow(transport, self._behind)
        self._gentle = Gentle(self.transport, self.end_gently)
        self._connections.opened += 1
        if not self._connections.has_room():
            self._refuse(Failure(503, "This server has too many connections. Try again later.", "too_many_connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone. What is held for it is given back; requests at work do so themselves."""
        super().connection_lost(exc)
        for cycle, _ in self.pipeline:
            self._holds.pop(cycle).release()
        self.pipeline.clear()
        for cycle in self._holds:
            cycle.disconnected = True
            cycle.message_event.set()
        self._rest = b""
        self._forget_unsent()

    def data_received(self, data: bytes) -> None:
        """Some bytes of requests."""
        self._unset_keepalive_if_required()
        self._used = True
        if self._ending:
            # What comes now is thrown away, not faster than others' requests are read.
            self.flow.pause_reading()
            self.loop.call_later(_PAUSE_SECONDS, self._listen_on)
            return
        if self._behind():
            self._rest += data
            self.flow.pause_reading()
            return
        self._feed(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more. It gets its answers if it still reads."""
        if self._ended or not self._at_work() or self.cycle.more_body:
            return False
        self.cycle.keep_alive = False
        if self.scope["http_version"] == "1.1" and not self.cycle.response_started and not self.pipeline:
            # Every client passes over this one. The system of a client that has hung up answers it with a reset.
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.loop.call_later(0.05, self._end_if_reset)
        return True

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        super().pause_writing()
        if self._slow_since is None:
            self._slow_since = self.loop.time()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_headers = self._progress = True
        self._header_bytes = self._header_count = self._body_left = 0
        self._since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """A piece of what is asked for."""
        self._header_bytes += len(url)
        if self._header_bytes > self._limits.header_bytes:
            words = f"The URL is longer than {self._limits.header_bytes:,} bytes. Send texts in the body."
            raise RequestError(414, words, "url_too_long")
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or, after the last chunk of a body, a trailer, which nothing here needs."""
        self._header_bytes += len(name) + len(value)
        self._header_count += 1
        if self._header_bytes > self._limits.header_bytes or self._header_count > self._limits.headers:
            raise self._headers_too_large().error()
        if self._in_headers:
            name = name.lower()
            if name == b"content-length":
                self._body_left = int(value) if value.isdigit() else 0
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._progress = True
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrading = True
            return
        hold = self._connections.budget.hold()
        hold.take(_REQUEST_BYTES + 2 * self._header_bytes + _HEADER_BYTES * self._header_count)
        try:
            super().on_headers_complete()
        except BaseException:
            hold.release()
            raise
        self._in_headers = False
        self._holds[self.cycle] = hold
        self.cycle.transport = cast("Any", self._gentle)
        scope = cast("dict[str, Any]", self.scope)
        scope[HOLD], scope[CONNECTION] = hold, self
        if self.scope["method"] == "CONNECT":
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._progress = True
        self._since = self.loop.time()
        self._body_left -= len(body)
        if not self.cycle.response_complete and (hold := self._holds.get(self.cycle)) is not None:
            hold.take(len(body) + len(body) // 8)  # A bytearray that grows has an eighth to spare.
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._progress = True
        self._body_left = 0
        if not self._upgrading:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written, at least to the system."""
        super().on_response_complete()
        self._since = self.loop.time()
        self.flow.resume_reading()
        if self.transport.is_closing() or self.pipeline:
            return
        if self._ended:
            return
        if self._ending:
            self._end()
        elif self._rest:
            data, self._rest = self._rest, b""
            self._unset_keepalive_if_required()
            self._feed(data)

    # What the watch over all connections calls

    def look(self, now: float) -> None:
        """End what takes too long. Called about once a second."""
        if self.transport.get_write_buffer_size() == 0:
            self._forget_unsent()
            if not self._at_work():
                self._slow_since = None
        if self._ended:
            if now - self._since > _LINGER_SECONDS:
                self.transport.abort()
        elif self._slow_since is not None and now - self._slow_since > self._limits.answer_seconds:
            self._connections.refused("slow_reader")
            self.transport.abort()
        elif self._in_headers:
            if now - self._since > self._limits.header_seconds:
                words = f"The headers were not there within {self._limits.header_seconds:g} s."
                self._refuse(Failure(408, words, "slow_request"))
        elif self._at_work():
            self._end_if_reset()
            if self.cycle.more_body and not self.flow.read_paused and now - self._since > self._limits.pause_seconds:
                words = f"Nothing more of the body came for {self._limits.pause_seconds:g} s."
                self._refuse(Failure(408, words, "slow_request"))
        elif self.timeout_keep_alive_task is None and now - self._since > self.timeout_keep_alive:
            self.transport.close()

    def end_unless_whole(self, scope: Mapping[str, Any]) -> None:
        """A request is refused: its connection ends with the answer if its body is still on its way."""
        for cycle in self._holds:
            if cycle.scope is scope and cycle.more_body:
                cycle.keep_alive = False

    def end_gently(self) -> None:
        """End the connection, but let the client read what was said if it is still sending."""
        if self.cycle.more_body and not self._ended:
            self._end()
        elif not self._ended:
            self.transport.close()

    def idle(self) -> bool:
        """Whether nothing was asked that is not answered."""
        return not self._at_work() and not self._in_headers

    @property
    def used(self) -> bool:
        """Whether the client has sent anything."""
        return self._used

    @property
    def since(self) -> float:
        """When something happened last."""
        return self._since

    # Ours

    def _feed(self, data: bytes) -> None:
        start = 0
        while start < len(data) and not self._ending and not self.transport.is_closing():
            if self.pipeline:
                self._rest = data[start:]
                self.flow.pause_reading()
                return
            stop = start + max(_PIECE_BYTES, self._body_left)
            piece = data if start == 0 and stop >= len(data) else data[start:stop]
            self._progress = False
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                if not self._upgrading:  # After CONNECT, what follows is no HTTP.
                    return
                self._ask_again_without_upgrade()
                start += upgrade.args[0]
                continue
            except httptools.HttpParserError as error:
                self._refuse(failure_in(error))
                return
            self._silent_bytes = 0 if self._progress else self._silent_bytes + len(piece)
            if self._silent_bytes > self._limits.header_bytes:  # An endless header, trailer or extension of a chunk.
                self._refuse(self._headers_too_large())
                return
            start += len(piece)

    def _ask_again_without_upgrade(self) -> None:
        """Parse the headers of a request once more, without the wish for another protocol, which may be passed over.

        The parser takes what follows such a request for the other protocol, its body included.
        """
        self._upgrading = False
        left = [pair for pair in self.headers if pair[0] not in (b"upgrade", b"connection", b"http2-settings")]
        wishes = b",".join(value for name, value in self.headers if name == b"connection").lower().split(b",")
        if b"close" in [wish.strip() for wish in wishes]:
            left.append((b"connection", b"close"))
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(line + b"".join(b"%b: %b\r\n" % pair for pair in left) + b"\r\n")

    def _behind(self) -> bool:
        """Whether requests wait that the client sent before it had the answer to an earlier one."""
        return bool(self._rest or self.pipeline)

    def _at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, failure: Failure) -> None:
        """Answer what is wrong in itself, after the answers to what came before it, and end the connection."""
        if self._ending:
            return
        self._ending = True
        self._rest = b""
        self._connections.refused(failure.code)
        if not self._at_work():
            self._end(failure)
        elif self.cycle.more_body:  # The last request will never be whole.
            waiting = [cycle for cycle, _ in self.pipeline]
            if self.cycle in waiting:
                self.pipeline.popleft()
                self._holds.pop(self.cycle).release()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end(None if self.cycle.response_started else failure)

    def _end(self, failure: Failure | None = None) -> None:
        """Say no more, and give the client time to read what was said."""
        self._ending = self._ended = True
        self._since = self.loop.time()
        if failure is not None and not self.transport.is_closing():
            self.transport.write(written(failure, self.server_state.default_headers))
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        with contextlib.suppress(OSError, RuntimeError):  # The client may be gone already.
            self.transport.write_eof()

    def _listen_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _end_if_reset(self) -> None:
        """Notice that a client has hung up whose end of sending was noticed before."""
        connected = self.transport.get_extra_info("socket")
        if connected is None or not hasattr(socket, "TCP_INFO") or self.transport.is_closing():
            return
        with contextlib.suppress(OSError):
            if connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED:
                self.transport.abort()

    async def _run(self, app: Callable[..., Awaitable[None]], scope: Any, receive: Any, send: Any) -> None:
        """One request: what it held is given back at its end, but for what the client has not read yet."""
        try:
            await app(scope, receive, send)
        finally:
            self._finish(scope[HOLD])

    def _finish(self, hold: Hold) -> None:
        self._holds = {cycle: held for cycle, held in self._holds.items() if held is not hold}
        unsent = 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()
        hold.keep(unsent)
        if unsent:
            self._unsent.append(hold)

    def _forget_unsent(self) -> None:
        for hold in self._unsent:
            hold.release()
        self._unsent.clear()

    def _headers_too_large(self) -> Failure:
        words = f"At most {self._limits.headers} headers of {self._limits.header_bytes:,} bytes together are read."
        return Failure(431, words, "headers_too_large")
