"""What a hostile client without a key may send. Each function attacks a server, and raises AssertionError if the server
breaks the invariant.
"""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attack.served import RunningServer

SECRET = "zanzibarine"  # noqa: S105
QUESTION = "The lease ends in June."
LONG = "the lease ends in june and the cat sat on the mat. " * 25
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
STOPPING_SECONDS = 10.0


def post(path: str, body: Any, head: bytes = HEAD) -> bytes:
    """The bytes of a POST request. A ``body`` that is not bytes is written as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path.encode(), head, len(content), content)


def status_of(response: bytes) -> int:
    response = final_response(response)
    assert response.startswith(b"HTTP/1.1 "), f"{len(response)} bytes that are not an HTTP response"
    return int(response[9:12])


def final_response(response: bytes) -> bytes:
    """The response without a "100 Continue" before it."""
    first, _, rest = response.partition(b"\r\n\r\n")
    return rest if first.startswith(b"HTTP/1.1 100") else response


def json_of(response: bytes) -> Any:
    return json.loads(final_response(response).partition(b"\r\n\r\n")[2])


def get_vector(server: RunningServer, question: str = QUESTION, seconds: float = 10.0) -> bytes:
    """Request the vector of a question, and return its bytes."""
    response = server.request(post("/v1/embeddings", {"input": question, "encoding_format": "base64"}), seconds)
    assert status_of(response) == 200, f"a plain request gets {status_of(response)}"
    return base64.b64decode(json_of(response)["data"][0]["embedding"])


def expect_refusal(server: RunningServer, request: bytes, seconds: float = 10.0) -> None:
    """Send a request that must get a 4xx or 503 status, or a closed connection."""
    response = server.request(request, seconds)
    status = status_of(response) if response else None
    assert status is None or 400 <= status < 500 or status == 503, f"a hostile request gets {status}"


def check_other_client(server: RunningServer, seconds: float = 10.0) -> None:
    """Check that another client gets an answer meanwhile, even if it is only that it must wait."""
    status = status_of(server.request(post("/v1/embeddings", {"input": QUESTION}), seconds))
    assert status in {200, 429, 503}, f"another client gets {status}"


def endless_headers(server: RunningServer, _files: Path) -> None:
    """Sixty megabytes of headers: many small ones, or one that does not end."""
    for start, piece in (
        (b"GET /health HTTP/1.1\r\n", b"a: b\r\n"),
        (b"GET /health HTTP/1.1\r\na: ", b"b"),
        (b"GET /", b"c"),
    ):
        expect_refusal(server, start + piece * (60_000_000 // len(piece)), 20)


def nulls(server: RunningServer, _files: Path) -> None:
    """A million values of wrong types, in each field that takes a list."""
    for path, key in (("/v1/embeddings", "input"), ("/embed", "inputs"), ("/tokenize", "inputs"), ("/decode", "ids")):
        for value in ("null", "1.5", "[]", '{"a":1}', "[null]"):
            body = b'{"%s":[%s]}' % (key.encode(), ",".join([value] * 1_000_000).encode())
            expect_refusal(server, post(path, body), 20)


def hosts(server: RunningServer, _files: Path) -> None:
    """Requests with two hosts, with no host, or for another host."""
    for head in (b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b"Host: evil.example\r\n", b"", b"Host: \r\n"):
        response = server.request(b"GET /v1/models HTTP/1.1\r\n%sConnection: close\r\n\r\n" % head)
        assert 400 <= status_of(response) < 500, f"{head!r} gets {status_of(response)}"
    response = server.request(
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert 400 <= status_of(response) < 500, f"an absolute address of another host gets {status_of(response)}"


def http_rules(server: RunningServer, _files: Path) -> None:
    """A half-closed connection gets its response; no response echoes a value; a wrong method gets a 405."""
    assert status_of(server.request(post("/embed", {"inputs": QUESTION}), half_close=True)) == 200
    response = server.request(post(f"/trace?arrays={SECRET}", {"input": QUESTION}))
    assert 400 <= status_of(response) < 500
    assert SECRET.encode() not in response, "the response echoes a value"
    for method in (b"PUT", b"DELETE", b"PATCH", b"GET"):
        head = b"Host: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n"
        status = status_of(server.request(b"%s /v1/embeddings HTTP/1.1\r\n%s\r\na" % (method, head)))
        assert status == 405, f"{method.decode()} gets {status}, not 405"
    schema = server.request(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert b"maxItems" in schema or b"maxLength" in schema, "the schema has no limits"


def half_sent_bodies(server: RunningServer, _files: Path) -> None:
    """A hundred bodies of fifteen megabytes, none of which is complete."""
    piece = b'{"inputs": "' + b"a" * 15_000_000
    head = b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    for request in (
        b"%sContent-Length: 15900000\r\n\r\n%s" % (head, piece),
        b"%sTransfer-Encoding: chunked\r\n\r\n%s" % (head, chunk),
    ):
        with _open_connections(server, 100) as connections, ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda connection, request=request: _send_ignoring_errors(connection, request), connections))
            check_other_client(server)


def deep_bodies(server: RunningServer, _files: Path) -> None:
    for body in (
        b"[" * 15_000_000,
        b'{"input":' * 1_500_000,
        b'{"input":' + b"[" * 15_000_000,
        b'"' + b"\\" * 15_000_000,
    ):
        expect_refusal(server, post("/v1/embeddings", body), 20)


def unread_traces(server: RunningServer, _files: Path) -> None:
    """Large responses that the client does not read."""
    _leave_unread(server, post("/trace?arrays=true", {"input": LONG}, HEAD), 16)


def unread_vectors(server: RunningServer, _files: Path) -> None:
    texts = ["the lease ends in june and the cat sat"] * 500
    _leave_unread(server, post("/embed_all", {"inputs": texts}, HEAD), 40)


def read_traces(server: RunningServer, _files: Path) -> None:
    """Eight large responses at the same time, which the client reads."""
    with ThreadPoolExecutor(8) as pool:
        request = post("/trace?arrays=true", {"input": LONG, "model": None})
        for response in pool.map(lambda _: server.request(request, 60), range(8)):
            assert status_of(response) in {200, 400, 413, 429, 503}, f"status {status_of(response)}"
            assert status_of(response) != 200 or json_of(response)


def long_texts(server: RunningServer, _files: Path) -> None:
    """Texts of a million characters, on every route that tokenizes. Other clients get answers meanwhile."""
    texts = ("a" * 999_000, "'" * 999_000, "the cat " * 124_000, "\u0301" * 499_000)
    requests = [
        post(path, {key: text})
        for text in texts
        for path, key in (("/embed", "inputs"), ("/tokenize", "inputs"), ("/v1/embeddings", "input"))
    ]
    requests += [post("/embed", {"inputs": ["'" * 999_000] * 15}), post("/v1/embeddings", {"input": "'" * 15_000_000})]
    with ThreadPoolExecutor(len(requests)) as pool:
        began = time.monotonic()
        futures = [pool.submit(server.request, request, 20) for request in requests]
        while not all(future.done() for future in futures):
            check_other_client(server, 5)
            time.sleep(0.2)
        for future in futures:
            status = status_of(future.result())
            assert status < 500 or status == 503, f"a long text gets {status}"
        assert time.monotonic() - began < 20, "the requests took over 20 s, though the time limit is 5 s"


def slow_clients(server: RunningServer, _files: Path) -> None:
    """Three hundred clients that send one byte from time to time."""
    request = post("/embed", {"inputs": QUESTION})
    with _open_connections(server, 300) as connections:
        for position in range(40):
            for connection in connections:
                _send_ignoring_errors(connection, request[position : position + 1])
            if position % 10 == 0:
                check_other_client(server)
            time.sleep(0.05)


def pipelined(server: RunningServer, _files: Path) -> None:
    """Connections with twenty thousand requests each, whose responses the client does not read."""
    health = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    embed = post("/embed", {"inputs": QUESTION}, HEAD.replace(b"Connection: close\r\n", b""))
    with _open_connections(server, 4) as connections:
        for connection, request in zip(connections, (health, embed, health, embed), strict=True):
            connection.settimeout(3)
            _send_ignoring_errors(connection, request * 20_000)
        check_other_client(server)


def many_connections(server: RunningServer, _files: Path) -> None:
    with _open_connections(server, 1500):
        check_other_client(server)


def strange_bodies(server: RunningServer, _files: Path) -> None:
    """Compressed bodies, other protocols, and extreme values for each route."""
    for extra in (b"Content-Encoding: gzip\r\n", b"Content-Type: application/x-www-form-urlencoded\r\n"):
        expect_refusal(server, post("/embed", b"\x1f\x8b" + b"\0" * 1000, extra + HEAD))
    for extra in (
        b"Upgrade: websocket\r\nSec-WebSocket-Key: a\r\n",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
        b"Expect: 100-continue\r\n",
    ):
        response = server.request(post("/embed", {"inputs": QUESTION}, extra + HEAD))
        assert not response or status_of(response) < 500
    for path, body in (
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["a"] * 200_000}}),
        ("/decode", {"ids": [[1] * 100] * 20_000}),
        ("/decode", {"ids": [2**31 - 1, 2**63, -1]}),
        ("/view/map", {"inputs": ["the cat"] * 2048}),
        ("/compare", {"inputs": [LONG * 10, LONG * 10]}),
        ("/v1/embeddings", {"input": [[2**31 - 1]] * 10}),
        ("/v1/embeddings", {"input": "a", "dimensions": 10**30}),
        ("/embed", {"inputs": "\ud800"}),
        ("/embed", {"inputs": "a", "prompt_name": "\u001b[31m" * 1000}),
        ("/v1/embeddings", {"input": "a", "model": "x" * 1_000_000}),
    ):
        response = server.request(post(path, body), 30)
        assert status_of(response) < 500 or status_of(response) == 503, f"{path} gets {status_of(response)}"
        assert len(response) < 2_000 or status_of(response) < 400, f"{path} refuses with {len(response):,} bytes"


def sigterm_during_work(server: RunningServer, _files: Path) -> None:
    """SIGTERM while the server tokenizes long texts. It must end within the time that ``--drain`` allows."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(_request_ignoring_errors, server, post("/tokenize", {"inputs": "'" * 999_000}), 30)
        time.sleep(0.5)
        server.stop(STOPPING_SECONDS)
        server.process.kill()


def second_sigterm(server: RunningServer, _files: Path) -> None:
    """A second SIGTERM. It must end the server at once."""
    server.stop_watcher()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(_request_ignoring_errors, server, post("/embed", {"inputs": ["the cat " * 200] * 2000}), 30)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        try:
            server.stop(3.0)
        finally:
            server.process.kill()


def requests_during_sigterm(server: RunningServer, _files: Path) -> None:
    """Requests while the server stops. Each must get a response, or no connection."""
    server.stop_watcher()
    errors, statuses = [], []
    is_over = threading.Event()

    def send_requests() -> None:
        while not is_over.is_set():
            try:
                connection = server.connect()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(post("/embed", {"inputs": QUESTION}))
                    response = b""
                    while piece := connection.recv(1 << 16):
                        response += piece
                    statuses.append(status_of(response))
                except (OSError, AssertionError) as error:
                    errors.append(repr(error))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(send_requests)
        time.sleep(1.5)
        status = server.stop(STOPPING_SECONDS)
        is_over.set()
    assert status == 0, f"exit status {status}"
    assert not errors, f"{len(errors)} of {len(statuses) + len(errors)} requests failed: {errors[0]}"
    assert set(statuses) <= {200, 503}


HEAVY: tuple[Callable[[RunningServer, Path], None], ...] = (
    *(endless_headers, nulls, hosts, http_rules, half_sent_bodies, deep_bodies, unread_traces, unread_vectors),
    *(read_traces, long_texts, slow_clients, pipelined, many_connections, strange_bodies),
    *(sigterm_during_work, second_sigterm, requests_during_sigterm),
)
STOPPING = (sigterm_during_work, second_sigterm, requests_during_sigterm)
"""The attacks that stop the server."""


@contextlib.contextmanager
def _open_connections(server: RunningServer, count: int) -> Iterator[list[socket.socket]]:
    max_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max_files, max_files))
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.connect(5)) for _ in range(count)]


def _request_ignoring_errors(server: RunningServer, request: bytes, seconds: float) -> None:
    with contextlib.suppress(OSError, AssertionError):
        server.request(request, seconds)


def _send_ignoring_errors(connection: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):  # The server may refuse it or not read it.
        connection.sendall(content)


def _leave_unread(server: RunningServer, request: bytes, count: int) -> None:
    with _open_connections(server, count) as connections:
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            _send_ignoring_errors(connection, request)
        for _ in range(10):
            time.sleep(1)
            check_other_client(server, 20)
        for connection in connections:  # The clients reset their connections.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
