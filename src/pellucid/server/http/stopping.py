"""Uvicorn's server, with a beginning and an end of our own: whoever was accepted is answered, and nobody is cut off."""

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
"""So long after the last answer, a connection is taken to be idle: a request may be on its way until then."""
_FRESH_SECONDS = 1.0
"""So long after it was accepted, a connection without a request is."""
_LISTEN_SECONDS, _MOST_LISTEN_SECONDS = 0.05, 2.0
"""How long connections are accepted after the signal: those that clients believe they have, and no others."""
_KEEP_ALIVE_SECONDS = 75
"""Longer than usual proxies keep theirs: else a request meets a closing connection."""
_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER of Linux (asm-generic/socket.h), which Python does not name."""
_NO_SYN = struct.pack("HBBI" * 4, 0x30, 0, 0, 13, 0x45, 0, 1, 2, 0x06, 0, 0, 0, 0x06, 0, 0, 0xFFFFFFFF)
"""A filter of classic BPF: load byte 13 of the TCP header; if it has the bit SYN, drop the packet, else keep it."""


class Server(uvicorn.Server):
    """Serves an app.

    Args:
        app: what answers.
        serving: what it has.
        started: called once requests are answered.

    Attributes:
        answered_all: whether everything that was accepted was answered before the time for that was over.
    """

    def __init__(self, app: App, serving: Serving, started: Callable[[], object] = lambda: None) -> None:
        http: Any = serving.connections.protocol()
        config = uvicorn.Config(
            app,
            http=http,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # Nothing here depends on who asks.
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        super().__init__(config)
        self.answered_all = True
        self._serving = serving
        self._tell_started = started
        serving.connections.open = self.server_state.connections

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT are how a server ends, and no error: uvicorn's own would raise them once more."""
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
        """The first signal begins the end; the second is the end."""
        if self.should_exit:
            logger.warning("ended by a second signal")
            end_process(128 + sig)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Once the socket is listened to, what is there stays: the collector need not go through it at every turn."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was accepted before the connections are closed that nothing is asked on."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._serving.settings.drain_seconds
        self._serving.draining = True  # From here on, each answer ends its connection.
        for listening in sockets or [one for server in self.servers for one in server.sockets]:
            ignore_new_clients(listening)
        # What the system has accepted in our name is taken from its queue meanwhile.
        await asyncio.sleep(min(_LISTEN_SECONDS, end - loop.time()))
        most = min(end, loop.time() + _MOST_LISTEN_SECONDS)
        while loop.time() < most and not self._is_quiet(loop.time()):
            await asyncio.sleep(0.01)
        for server in self.servers:
            server.close()
        self.config.timeout_graceful_shutdown = max(0.0, end - loop.time())  # type: ignore[assignment]
        waiting = asyncio.create_task(self._note_unanswered(end))
        await super().shutdown(sockets)
        waiting.cancel()
        gc.unfreeze()  # Else the core would tell, at the very end, of objects that nobody let go.

    async def _note_unanswered(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, end - loop.time() - 0.01))
        self.answered_all = not self.server_state.tasks

    def _is_quiet(self, now: float) -> bool:
        return all(
            not one.idle() or now - one.since > (_QUIET_SECONDS if one.used else _FRESH_SECONDS)
            for one in self._serving.connections.open
        )


def ignore_new_clients(listening: socket.socket) -> None:
    """Let the system answer no new client, so that the queue of those that it has accepted can be emptied.

    Closing the socket at once would reset those. A new client's system asks again after a second, and finds the port
    closed. Only Linux can do so; elsewhere, new clients are served until the socket is closed.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_NO_SYN)
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 4, ctypes.addressof(program)))


def end_process(status: int) -> NoReturn:
    """End at once, whatever other threads are doing."""
    for handler in logging.root.handlers:
        handler.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
