"""What happens to those who ask while the server is told to stop: real processes, real signals."""

from __future__ import annotations

import collections
import contextlib
import json
import signal
import socket
import sys
import threading
import time

import httpx
import pytest

from tests.server.conftest import connected, rest, until
from tests.server.process import process

CLIENTS, SECONDS = 48, 1.5
BODY = b'{"input": "the cat sat on the mat"}'
HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def ask(port: int) -> str:
    """The status of one request on a connection of its own, or what became of it."""
    with socket.socket() as connection:
        connection.settimeout(60)
        try:
            connection.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            return "refused"
        try:
            connection.sendall(REQUEST)
            answer = rest(connection)
        except OSError as error:
            return type(error).__name__
    return answer.split(b" ", 2)[1].decode() if answer else "no answer"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep new clients out without cutting off others")
def test_nobody_is_cut_off_around_a_signal(model):
    """A thousand requests and more, each on a new connection: what is not answered was refused from the start."""
    seen: collections.Counter[str] = collections.Counter()

    def client(port: int) -> None:
        while (status := ask(port)) != "refused":
            seen[status] += 1

    with process("--model", model) as server:
        port = int(server.url.rpartition(":")[2])
        clients = [threading.Thread(target=client, args=(port,)) for _ in range(CLIENTS)]
        for one in clients:
            one.start()
        time.sleep(SECONDS)
        assert server.stop() == 0
        for one in clients:
            one.join(60)
            assert not one.is_alive()
    assert set(seen) == {"200"}
    assert seen["200"] > CLIENTS


def busy(server) -> threading.Thread:
    """Has the server at work for a long while: many long texts to be cut into tokens and shown."""
    words = "the cat sat on the mat and a dog " * 30_000
    body = json.dumps({"inputs": [words[:900_000]] * 15})

    def long() -> None:
        headers = {"content-type": "application/json"}
        with contextlib.suppress(httpx.HTTPError):  # It is cut off: that is what is tested.
            httpx.post(f"{server.url}/tokenize", content=body, headers=headers, timeout=60)

    thread = threading.Thread(target=long)
    thread.start()
    time.sleep(1)
    return thread


@contextlib.contextmanager
def half_a_request(server):
    """A request that the server has accepted, and that never becomes whole."""
    with connected(server, HEAD + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        yield


def is_stopping(server):
    """Whether the first signal has been noticed: it takes no connections any more, or says so."""
    try:
        return httpx.get(f"{server.url}/health", timeout=60).status_code == 503
    except httpx.TransportError:
        return True


def test_a_second_signal_ends_the_process_at_once(model):
    with process("--model", model, "--drain", "600") as server, half_a_request(server):
        server.process.send_signal(signal.SIGTERM)
        until(lambda: is_stopping(server))  # Two signals at once may be one.
        assert server.process.poll() is None
        assert server.stop() == 128 + signal.SIGTERM
        assert json.loads(server.log()[-1])["event"] == "ended by a second signal"


def test_work_that_takes_too_long_ends_with_the_drain(model):
    with process("--model", model, "--drain", "1") as server:
        thread = busy(server)
        start = time.monotonic()
        status = server.stop()
        assert time.monotonic() - start < 30
        thread.join(60)
        assert status in (0, 1)  # 0 if the machine is so fast that it was answered.


def test_what_was_not_answered_in_time_is_told_by_the_status(model):
    with process("--model", model, "--drain", "0.5") as server, half_a_request(server):
        start = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - start < 25  # Without the option, it would be 30 s.
