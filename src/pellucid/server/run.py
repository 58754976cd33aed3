"""A process that serves until it is told to stop, and then answers what it has accepted."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from pellucid.errors import OptionError
from pellucid.server.app import create
from pellucid.server.gate import JsonLines
from pellucid.server.serving import Serving
from pellucid.server.settings import Settings

_QUIET_SECONDS = 0.3
"""How long connections that nothing is asked on stay open after the signal: a request may be on its way."""
_BACKLOG = 2048
_SWITCH_SECONDS = 0.0002
"""How long the event loop may keep the interpreter from the engine's thread, and the other way; Python's own 5 ms are
more than a short request takes."""


def run(settings: Settings, *, started: Callable[[str], object] = lambda _url: None) -> None:
    """Serve until SIGTERM or SIGINT.

    Then nothing new is accepted, what was accepted is answered, each answer ends its connection, and the process ends
    by itself, after ``settings.drain_seconds`` at the latest. A second signal ends it at once.

    Args:
        settings: what to serve, and how.
        started: told the address, once requests are answered.

    Raises:
        OptionError: the address cannot be listened to.
        ModelError: a model could not be loaded.
    """
    _log_json_lines()
    listening = _listen(settings.host, settings.port)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with listening, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, listening, started))


class _Server(uvicorn.Server):
    """Uvicorn's, but for its beginning and its end."""

    def __init__(self, config: uvicorn.Config, serving: Serving, started: Callable[[], object]) -> None:
        super().__init__(config)
        self._serving = serving
        self._tell_started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT are how a server ends, and no error: uvicorn's own would raise them once more."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Once the socket is listened to, what is there stays: the collector need not go through it at every turn."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was accepted before the connections are closed that nothing is asked on."""
        self._serving.draining = True  # From here on, each answer ends its connection.
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        quiet = loop.time() + _QUIET_SECONDS
        while self.server_state.connections and loop.time() < quiet and not self.force_exit:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)
        gc.unfreeze()  # Else the core would tell, at the very end, of objects that nobody let go.


async def _serve(settings: Settings, listening: socket.socket, started: Callable[[str], object]) -> None:
    app, serving = create(settings)
    # Before uvicorn's own start, so that an error is raised to the caller, and is no line in uvicorn's log.
    await serving.models.start()
    address, port = listening.getsockname()[:2]
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # Nothing here depends on who asks.
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        timeout_keep_alive=75,  # Longer than usual proxies keep theirs: else a request meets a closing connection.
    )
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    await _Server(config, serving, lambda: started(url)).serve(sockets=[listening])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # There is none for Windows; asyncio's own is the same, but slower.
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise OptionError(
            f"cannot listen at {host}, port {port}: {getattr(error, 'strerror', None) or error}. "
            f"Is another server there already? --port 0 takes a free port."
        ) from error


def _log_json_lines() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.root.handlers[:] = [handler]
    logging.getLogger("pellucid").setLevel(logging.INFO)
