"""Run a server until a signal stops it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping

from pellucid.errors import OptionError
from pellucid.server.core.kinds import Kind
from pellucid.server.http.app import create_app
from pellucid.server.http.stopping import Server, end_process, logger
from pellucid.server.logs import start_log
from pellucid.server.settings import Settings

OnReady = Callable[[str, Mapping[str, Kind | None]], object]
_BACKLOG = 2048
_RECEIVE_BYTES = 1 << 18
"""How much the system buffers for each connection until we read it. Without a limit, that can be many megabytes."""
_OTHER_FILES = 256
"""How many files besides the connections the process may have open."""
_LAST_SECONDS = 0.2
_SWITCH_SECONDS = 0.0002
"""How long the event loop and the engine's threads may keep the interpreter from each other. Python's default of 5 ms
is longer than a short request takes."""


def run(settings: Settings, *, on_ready: OnReady = lambda _url, _kinds: None) -> bool:
    """Serve until SIGTERM or SIGINT.

    After the signal the server accepts no new connection, answers the requests that it has accepted, closes each
    connection after its response, and ends. It ends after ``settings.drain_seconds`` at the latest. A second signal
    ends the process at once, with exit status 128 plus the signal's number.

    Args:
        settings: the models to serve, and how.
        on_ready: called once the server answers requests, with its URL and the kind of each model by name.

    Returns:
        True if every accepted request was answered.

    Raises:
        OptionError: the server cannot listen on this address.
        ModelError: a model could not be loaded.
    """
    start_log(settings.log_format)
    _raise_file_limit(settings.limits.connections + _OTHER_FILES)
    listener = _listen(settings.host, settings.port)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, listener, on_ready))


async def _serve(settings: Settings, listener: socket.socket, on_ready: OnReady) -> bool:
    app, serving = create_app(settings)
    # Load before uvicorn starts. So an error reaches the caller and does not end up as a line in uvicorn's log.
    await serving.models.start()
    address, port = listener.getsockname()[:2]
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    server = Server(app, serving, lambda: on_ready(url, serving.models.kinds()))
    await server.serve(sockets=[listener])
    logger.info("stopped", extra={"answered_all": server.answered_all})
    if serving.is_busy():
        await asyncio.sleep(_LAST_SECONDS)
    if serving.is_busy():
        # A thread is still working on abandoned requests. It cannot be stopped, and Python would wait for it or crash
        # in it.
        end_process(1)
    return server.answered_all


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # uvloop does not exist for Windows. asyncio's own loop does the same, but more slowly.
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise OptionError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}. "
            f"If another server uses this port, choose another one; --port 0 picks a free port."
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return listener


def _raise_file_limit(count: int) -> None:
    """Ask the system for ``count`` open files, or as many as it allows.

    Each connection is an open file, and many systems allow only about a thousand by default.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    requested = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < requested:
        resource.setrlimit(resource.RLIMIT_NOFILE, (requested, hard))
