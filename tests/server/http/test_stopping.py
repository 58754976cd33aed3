"""What happens to clients while the server stops. These tests use real processes and real signals."""

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

from tests.server.conftest import connected, read_to_end, wait_until
from tests.server.process import process

CLIENTS, SECONDS = 48, 1.5
BODY = b'{"input": "the cat sat on the mat"}'
HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def send_request(port: int) -> str:
    """Send one request on a new connection. Returns its status, or a word for what went wrong."""
    with socket.socket() as connection:
        connection.settimeout(60)
        try:
            connection.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            return "refused"
        try:
            connection.sendall(REQUEST)
            answer = read_to_end(connection)
        except OSError as error:
            return type(error).__name__
    return answer.split(b" ", 2)[1].decode() if answer else "no answer"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can ignore new clients without cutting off others")
def test_no_client_is_cut_off_around_a_signal(model):
    """More than a thousand requests, each on a new connection. All are answered, or refused before they are sent."""
    seen: collections.Counter[str] = collections.Counter()

    def client(port: int) -> None:
        while (status := send_request(port)) != "refused":
            seen[status] += 1

    with process("--model", model) as server:
        port = int(server.url.rpartition(":")[2])
        clients = [threading.Thread(target=client, args=(port,)) for _ in range(CLIENTS)]
        for thread in clients:
            thread.start()
        time.sleep(SECONDS)
        assert server.stop() == 0
        for thread in clients:
            thread.join(60)
            assert not thread.is_alive()
    assert set(seen) == {"200"}
    assert seen["200"] > CLIENTS


def keep_busy(server) -> threading.Thread:
    """Give the server work for a long time: many long texts to tokenize."""
    words = "the cat sat on the mat and a dog " * 30_000
    body = json.dumps({"inputs": [words[:900_000]] * 15})

    def send() -> None:
        headers = {"content-type": "application/json"}
        with contextlib.suppress(httpx.HTTPError):  # The server cuts it off, and the test expects that.
            httpx.post(f"{server.url}/tokenize", content=body, headers=headers, timeout=60)

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(1)
    return thread


@contextlib.contextmanager
def incomplete_request(server):
    """A request that the server has accepted, and that stays incomplete."""
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
    with process("--model", model, "--drain", "600") as server, incomplete_request(server):
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_stopping(server))  # Two signals at once may be one.
        assert server.process.poll() is None
        assert server.stop() == 128 + signal.SIGTERM
        assert json.loads(server.log()[-1])["event"] == "ended by a second signal"


def test_the_process_ends_in_time_although_work_goes_on(model):
    with process("--model", model, "--drain", "1") as server:
        thread = keep_busy(server)
        start = time.monotonic()
        status = server.stop()
        assert time.monotonic() - start < 30
        thread.join(60)
        assert status in (0, 1)  # 0 if the machine is fast enough to answer in time.


def test_the_exit_status_tells_that_a_request_was_not_answered_in_time(model):
    with process("--model", model, "--drain", "0.5") as server, incomplete_request(server):
        start = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - start < 25  # Without the option, it would be 30 s.
