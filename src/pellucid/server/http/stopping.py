"""Uvicorn's server with our own start and stop. Before it stops, it answers every request that it has accepted."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import uvicorn

from pellucid.server.http.gate import App
from pellucid.server.http.serving import Serving

logger = logging.getLogger("pellucid.server")
_QUIET_SECONDS = 0.3
"""A connection counts as idle this long after its last response. Until then, another request may be on its way."""
_UNUSED_SECONDS = 1.0
"""A connection that has sent nothing counts as idle this long after it was accepted."""
_MIN_ACCEPT_SECONDS, _MAX_ACCEPT_SECONDS = 0.05, 2.0
"""How long to accept connections after the signal: those that clients already have, and no new ones."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than common proxies keep idle connections. Otherwise a proxy's request could meet a closing connection."""
_SO_ATTACH_FILTER = 26
"""A socket option of Linux (asm-generic/socket.h) that Python has no name for."""
_NO_SYN = struct.pack("HBBI" * 4, 0x30, 0, 0, 13, 0x45, 0, 1, 2, 0x06, 0, 0, 0, 0x06, 0, 0, 0xFFFFFFFF)
"""A classic BPF filter: load byte 13 of the TCP header; drop the packet if its SYN bit is set, else keep it."""


class Server(uvicorn.Server):
    """Serves an app.

    Args:
        app: the app.
        serving: what the app's routes share.
        on_ready: called once the server answers requests.

    Attributes:
        answered_all: False if the time to stop was over before every accepted request was answered.
    """

    def __init__(self, app: App, serving: Serving, on_ready: Callable[[], object] = lambda: None) -> None:
        http: Any = serving.connections.protocol_factory()
        config = uvicorn.Config(
            app,
            http=http,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # Nothing here depends on the client's address.
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        super().__init__(config)
        self.answered_all = True
        self._serving = serving
        self._on_ready = on_ready
        serving.connections.open = self.server_state.connections

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop the server. Uvicorn's own method would raise them again, like errors."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002  uvicorn's signature.
        """Stop the server at the first signal, and end the process at the second."""
        if self.should_exit:
            logger.warning("ended by a second signal")
            end_process(128 + sig)
        logger.info("stopping")
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen. All objects so far will stay, so the garbage collector need not look at them again."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer all accepted requests, and then close the idle connections."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._serving.settings.drain_seconds
        self._serving.draining = True  # From here on, each response closes its connection.
        for listener in sockets or [listener for server in self.servers for listener in server.sockets]:
            ignore_new_clients(listener)
        # Meanwhile the event loop takes the connections that the system has already accepted for us.
        await asyncio.sleep(min(_MIN_ACCEPT_SECONDS, deadline - loop.time()))
        accept_deadline = min(deadline, loop.time() + _MAX_ACCEPT_SECONDS)
        while loop.time() < accept_deadline and not self._is_quiet(loop.time()):
            await asyncio.sleep(0.01)
        for server in self.servers:
            server.close()
        self.config.timeout_graceful_shutdown = max(0.0, deadline - loop.time())  # type: ignore[assignment]
        watcher = asyncio.create_task(self._note_unanswered(deadline))
        await super().shutdown(sockets)
        watcher.cancel()
        gc.unfreeze()  # Otherwise the native core would report leaked objects when the interpreter exits.

    async def _note_unanswered(self, deadline: float) -> None:
        """Just before the deadline, note whether requests are still unanswered."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, deadline - loop.time() - 0.01))
        self.answered_all = not self.server_state.tasks

    def _is_quiet(self, now: float) -> bool:
        """True if no new request is likely to arrive on any open connection."""
        return all(
            not connection.is_idle()
            or now - connection.last_active > (_QUIET_SECONDS if connection.has_received else _UNUSED_SECONDS)
            for connection in self._serving.connections.open
        )


def ignore_new_clients(listener: socket.socket) -> None:
    """Make the system ignore new clients, so that we can take all connections that it has already accepted.

    Closing the socket at once would reset these connections. The system of a new client tries again after a second, and
    then finds the port closed. This works only on Linux. Elsewhere, new clients are served until the socket is closed.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_SYN)
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(program)))


def end_process(status: int) -> NoReturn:
    """End the process at once, whatever other threads are doing."""
    for handler in logging.root.handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
