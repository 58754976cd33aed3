"""What a client without a key may send: each is done to a server, and an AssertionError says which law broke."""

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

from attack.served import Served

SECRET = "zanzibarine"  # noqa: S105
QUESTION = "The lease ends in June."
LONG = "the lease ends in june and the cat sat on the mat. " * 25
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
STOPPING_SECONDS = 10.0


def post(path: str, body: Any, head: bytes = HEAD) -> bytes:
    """A request; ``body`` as bytes, or to be made JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path.encode(), head, len(content), content)


def status_of(answer: bytes) -> int:
    answer = final(answer)
    assert answer.startswith(b"HTTP/1.1 "), f"no answer of HTTP, but {len(answer)} bytes"
    return int(answer[9:12])


def final(answer: bytes) -> bytes:
    """An answer without one that says "100 Continue" before it."""
    first, _, rest = answer.partition(b"\r\n\r\n")
    return rest if first.startswith(b"HTTP/1.1 100") else answer


def json_of(answer: bytes) -> Any:
    return json.loads(final(answer).partition(b"\r\n\r\n")[2])


def vector(server: Served, question: str = QUESTION, seconds: float = 10.0) -> bytes:
    """The vector of a question, in its bits."""
    answer = server.ask(post("/v1/embeddings", {"input": question, "encoding_format": "base64"}), seconds)
    assert status_of(answer) == 200, f"a plain request gets {status_of(answer)}"
    return base64.b64decode(json_of(answer)["data"][0]["embedding"])


def refused(server: Served, sent: bytes, seconds: float = 10.0) -> None:
    """What must be answered with a 4xx, or cut off."""
    answer = server.ask(sent, seconds)
    assert not answer or 400 <= status_of(answer) < 500 or status_of(answer) == 503, f"it gets {status_of(answer)}"


def polite(server: Served, seconds: float = 10.0) -> None:
    """What somebody else asks meanwhile is answered, if only by that it has to wait."""
    status = status_of(server.ask(post("/v1/embeddings", {"input": QUESTION}), seconds))
    assert status in {200, 429, 503}, f"somebody else gets {status}"


def endless_headers(server: Served, _files: Path) -> None:
    """Sixty megabytes of headers, many and small, or one that does not end."""
    for start, piece in (
        (b"GET /health HTTP/1.1\r\n", b"a: b\r\n"),
        (b"GET /health HTTP/1.1\r\na: ", b"b"),
        (b"GET /", b"c"),
    ):
        refused(server, start + piece * (60_000_000 // len(piece)), 20)


def nulls(server: Served, _files: Path) -> None:
    """A million values that are none, in each place that takes many."""
    for path, key in (("/v1/embeddings", "input"), ("/embed", "inputs"), ("/tokenize", "inputs"), ("/decode", "ids")):
        for value in ("null", "1.5", "[]", '{"a":1}', "[null]"):
            body = b'{"%s":[%s]}' % (key.encode(), ",".join([value] * 1_000_000).encode())
            refused(server, post(path, body), 20)


def hosts(server: Served, _files: Path) -> None:
    """Two hosts, none, or somebody else's."""
    for head in (b"Host: 127.0.0.1\r\nHost: evil.example\r\n", b"Host: evil.example\r\n", b"", b"Host: \r\n"):
        answer = server.ask(b"GET /v1/models HTTP/1.1\r\n%sConnection: close\r\n\r\n" % head)
        assert 400 <= status_of(answer) < 500, f"{head!r} gets {status_of(answer)}"
    answer = server.ask(
        b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    assert 400 <= status_of(answer) < 500, f"an absolute address of another host gets {status_of(answer)}"


def manners(server: Served, _files: Path) -> None:
    """Who has closed his half hears an answer; no value is echoed; 405 where the method is wrong."""
    assert status_of(server.ask(post("/embed", {"inputs": QUESTION}), half_close=True)) == 200
    answer = server.ask(post(f"/trace?arrays={SECRET}", {"input": QUESTION}))
    assert 400 <= status_of(answer) < 500
    assert SECRET.encode() not in answer, "a value is echoed"
    for method in (b"PUT", b"DELETE", b"PATCH", b"GET"):
        head = b"Host: 127.0.0.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\nConnection: close\r\n"
        assert status_of(server.ask(b"%s /v1/embeddings HTTP/1.1\r\n%s\r\na" % (method, head))) == 405, "not 405"
    described = server.ask(b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert b"maxItems" in described or b"maxLength" in described, "the schema has no limits"


def half_sent_bodies(server: Served, _files: Path) -> None:
    """A hundred bodies of fifteen megabytes whose ends do not come."""
    piece = b'{"inputs": "' + b"a" * 15_000_000
    head = b"POST /embed HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    for sent in (
        b"%sContent-Length: 15900000\r\n\r\n%s" % (head, piece),
        b"%sTransfer-Encoding: chunked\r\n\r\n%s" % (head, chunk),
    ):
        with _opened(server, 100) as connections, ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda connection, sent=sent: _sent(connection, sent), connections))
            polite(server)


def deep_bodies(server: Served, _files: Path) -> None:
    for body in (
        b"[" * 15_000_000,
        b'{"input":' * 1_500_000,
        b'{"input":' + b"[" * 15_000_000,
        b'"' + b"\\" * 15_000_000,
    ):
        refused(server, post("/v1/embeddings", body), 20)


def unread_traces(server: Served, _files: Path) -> None:
    """Large answers that nobody reads."""
    _unread(server, post("/trace?arrays=true", {"input": LONG}, HEAD), 16)


def unread_vectors(server: Served, _files: Path) -> None:
    texts = ["the lease ends in june and the cat sat"] * 500
    _unread(server, post("/embed_all", {"inputs": texts}, HEAD), 40)


def read_traces(server: Served, _files: Path) -> None:
    """Large answers that are read, eight at once."""
    with ThreadPoolExecutor(8) as pool:
        sent = post("/trace?arrays=true", {"input": LONG, "model": None})
        for answer in pool.map(lambda _: server.ask(sent, 60), range(8)):
            assert status_of(answer) in {200, 400, 413, 429, 503}, f"status {status_of(answer)}"
            assert status_of(answer) != 200 or json_of(answer)


def long_texts(server: Served, _files: Path) -> None:
    """Texts of a million characters, on every route that tokenizes; others are answered meanwhile."""
    texts = ("a" * 999_000, "'" * 999_000, "the cat " * 124_000, "\u0301" * 499_000)
    sent = [
        post(path, {key: text})
        for text in texts
        for path, key in (("/embed", "inputs"), ("/tokenize", "inputs"), ("/v1/embeddings", "input"))
    ]
    sent += [post("/embed", {"inputs": ["'" * 999_000] * 15}), post("/v1/embeddings", {"input": "'" * 15_000_000})]
    with ThreadPoolExecutor(len(sent)) as pool:
        began = time.monotonic()
        answers = [pool.submit(server.ask, each, 20) for each in sent]
        while not all(answer.done() for answer in answers):
            polite(server, 5)
            time.sleep(0.2)
        for answer in answers:
            assert status_of(answer.result()) < 500 or status_of(answer.result()) == 503
        assert time.monotonic() - began < 20, "the time limit is 5 s, and it took 20 s"


def slow_clients(server: Served, _files: Path) -> None:
    """Three hundred that send a byte now and then."""
    sent = post("/embed", {"inputs": QUESTION})
    with _opened(server, 300) as connections:
        for place in range(40):
            for connection in connections:
                _sent(connection, sent[place : place + 1])
            if place % 10 == 0:
                polite(server)
            time.sleep(0.05)


def pipelined(server: Served, _files: Path) -> None:
    """Twenty thousand requests on one connection, whose answers nobody reads."""
    health = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    embed = post("/embed", {"inputs": QUESTION}, HEAD.replace(b"Connection: close\r\n", b""))
    with _opened(server, 4) as connections:
        for connection, sent in zip(connections, (health, embed, health, embed), strict=True):
            connection.settimeout(3)
            _sent(connection, sent * 20_000)
        polite(server)


def many_connections(server: Served, _files: Path) -> None:
    with _opened(server, 1500):
        polite(server)


def strange_bodies(server: Served, _files: Path) -> None:
    """Bodies that are packed, other protocols, and lists of every route's own."""
    for extra in (b"Content-Encoding: gzip\r\n", b"Content-Type: application/x-www-form-urlencoded\r\n"):
        refused(server, post("/embed", b"\x1f\x8b" + b"\0" * 1000, extra + HEAD))
    for extra in (
        b"Upgrade: websocket\r\nSec-WebSocket-Key: a\r\n",
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMA\r\n",
        b"Expect: 100-continue\r\n",
    ):
        answer = server.ask(post("/embed", {"inputs": QUESTION}, extra + HEAD))
        assert not answer or status_of(answer) < 500
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
        answer = server.ask(post(path, body), 30)
        assert status_of(answer) < 500 or status_of(answer) == 503, f"{path} gets {status_of(answer)}"
        assert len(answer) < 2_000 or status_of(answer) < 400, "a refusal is long"


def stop_at_work(server: Served, _files: Path) -> None:
    """While a long text is tokenized, SIGTERM ends it within the time that --drain gives."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(_quietly, server, post("/tokenize", {"inputs": "'" * 999_000}), 30)
        time.sleep(0.5)
        server.stop(STOPPING_SECONDS)
        server.process.kill()


def second_signal(server: Served, _files: Path) -> None:
    """A second SIGTERM ends it at once."""
    server.unwatched()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(_quietly, server, post("/embed", {"inputs": ["the cat " * 200] * 2000}), 30)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        try:
            server.stop(3.0)
        finally:
            server.process.kill()


def around_sigterm(server: Served, _files: Path) -> None:
    """Of those that ask while it stops, each is answered, or not let in."""
    server.unwatched()
    broken, answered = [], []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                connection = server.connect()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(post("/embed", {"inputs": QUESTION}))
                    answer = b""
                    while more := connection.recv(1 << 16):
                        answer += more
                    answered.append(status_of(answer))
                except (OSError, AssertionError) as error:
                    broken.append(repr(error))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(keep_asking)
        time.sleep(1.5)
        status = server.stop(STOPPING_SECONDS)
        over.set()
    assert status == 0, f"exit status {status}"
    assert not broken, f"{len(broken)} of {len(answered) + len(broken)} were cut off: {broken[0]}"
    assert set(answered) <= {200, 503}


HEAVY: tuple[Callable[[Served, Path], None], ...] = (
    *(endless_headers, nulls, hosts, manners, half_sent_bodies, deep_bodies, unread_traces, unread_vectors),
    *(read_traces, long_texts, slow_clients, pipelined, many_connections, strange_bodies),
    *(stop_at_work, second_signal, around_sigterm),
)
STOPPED = (stop_at_work, second_signal, around_sigterm)
"""These end the server themselves."""


@contextlib.contextmanager
def _opened(server: Served, count: int) -> Iterator[list[socket.socket]]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.connect(5)) for _ in range(count)]


def _quietly(server: Served, sent: bytes, seconds: float) -> None:
    with contextlib.suppress(OSError, AssertionError):
        server.ask(sent, seconds)


def _sent(connection: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):  # It may say no, and it may not listen.
        connection.sendall(content)


def _unread(server: Served, sent: bytes, count: int) -> None:
    with _opened(server, count) as connections:
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            _sent(connection, sent)
        for _ in range(10):
            time.sleep(1)
            polite(server, 20)
        for connection in connections:  # And they leave without a word.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
