"""A process that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable

from pellucid.errors import OptionError
from pellucid.server.http.app import create
from pellucid.server.http.gate import JsonLines
from pellucid.server.http.stopping import Server, end_process
from pellucid.server.settings import Settings

_BACKLOG = 2048
_RECEIVE_BYTES = 1 << 18
"""What the system keeps of each connection until we read it; without a bound, that may be many megabytes."""
_OWN_FILES = 256
"""Files that are open beside the connections."""
_LAST_SECONDS = 0.2
_SWITCH_SECONDS = 0.0002
"""How long the event loop may keep the interpreter from the engine's thread, and the other way; Python's own 5 ms are
more than a short request takes."""


def run(settings: Settings, *, started: Callable[[str], object] = lambda _url: None) -> bool:
    """Serve until SIGTERM or SIGINT.

    Then no connection is accepted any more, what was accepted is answered, each answer ends its connection, and the
    process ends by itself, after ``settings.drain_seconds`` at the latest. A second signal ends it at once, with the
    status 128 + the signal's number.

    Args:
        settings: what to serve, and how.
        started: called with the address, once requests are answered.

    Returns:
        Whether everything that was accepted was answered.

    Raises:
        OptionError: the address cannot be listened to.
        ModelError: a model could not be loaded.
    """
    _log_json_lines()
    _allow_files(settings.limits.connections + _OWN_FILES)
    listening = _listen(settings.host, settings.port)
    sys.setswitchinterval(_SWITCH_SECONDS)
    with listening, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, listening, started))


async def _serve(settings: Settings, listening: socket.socket, started: Callable[[str], object]) -> bool:
    app, serving = create(settings)
    # Before uvicorn's own start, so that an error is raised to the caller, and is no line in uvicorn's log.
    await serving.models.start()
    address, port = listening.getsockname()[:2]
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}"
    server = Server(app, serving, lambda: started(url))
    await server.serve(sockets=[listening])
    if serving.busy():
        await asyncio.sleep(_LAST_SECONDS)
    if serving.busy():
        # A thread that is at work for nobody cannot be stopped, and Python would wait for it, or fail in it.
        end_process(1)
    return server.answered_all


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
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        raise OptionError(
            f"cannot listen at {host}, port {port}: {getattr(error, 'strerror', None) or error}. "
            f"Is another server there already? --port 0 takes a free port."
        ) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    return listening


def _allow_files(count: int) -> None:
    """Each connection is an open file, and many systems allow a thousand unless they are asked for more."""
    try:
        import resource
    except ImportError:  # There is no such limit on Windows.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _log_json_lines() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.root.handlers[:] = [handler]
    logging.getLogger("pellucid").setLevel(logging.INFO)
