"""All kinds of bytes, sent to one real process. Each gets a clean response or a clean close, and nothing hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.server.conftest import read_to_end
from tests.server.process import Process, process

HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"POST /embed HTTP/1.1\r\n" + HOST + CLOSE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n" + HOST
LENGTH = b"POST /embed HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: "
TEXT = b'{"inputs": "the cat"}'
OK = b"HTTP/1.1 200"


def post(body: bytes, *more: bytes, path: bytes = b"/embed") -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + JSON + b"".join(more) + length + body


@dataclass(frozen=True)
class Case:
    """The bytes that a client sends, and the responses that it must get.

    Attributes:
        sent: the bytes.
        status: the status of the first response.
        words: a part of the responses.
        responses: how many responses there are.
        half_close: True if the client closes its sending side at the end.
    """

    sent: bytes
    status: int
    words: bytes = b""
    responses: int = 1
    half_close: bool = False


INVALID = b"not a valid HTTP/1.1 request"
CASES = {
    "a valid request": Case(post(TEXT, CLOSE), 200),
    "a client that closes its side": Case(post(TEXT), 200, half_close=True),
    "a client that closes its side, HTTP/1.0": Case(b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n", 200, half_close=True),
    "not HTTP": Case(b"hello\r\n\r\n", 400, INVALID),
    "nothing": Case(b"\r\n\r\n", 0, responses=0, half_close=True),
    "line feeds alone": Case(b"GET /health HTTP/1.1\nHost: localhost\n\n", 400, INVALID),
    "TLS": Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, 400, INVALID),
    "HTTP/2": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 30, 400, INVALID),
    "HTTP/1.0": Case(b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n", 200),
    "HTTP/9.9": Case(b"GET /health HTTP/9.9\r\n" + HOST + b"\r\n", 400, INVALID),
    "no version": Case(b"GET /health\r\n\r\n", 403),
    "no host": Case(b"GET /health HTTP/1.1\r\n" + CLOSE + b"\r\n", 403),
    "a URL of a megabyte": Case(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, b"url_too_long"),
    "many short headers": Case(HEALTH + b"a:\r\n" * 500_000 + b"\r\n", 431, b"At most 128 headers"),
    "a long header": Case(HEALTH + b"a: " + b"x" * 2_000_000 + b"\r\n\r\n", 431, b"32,768 bytes"),
    "an endless name": Case(HEALTH + b"x" * 2_000_000, 431, b"headers_too_large"),
    "a header over two lines": Case(HEALTH + b"a: b\r\n c\r\n\r\n", 400, INVALID),
    "a zero in a header": Case(HEALTH + b"a\x00b: c\r\n\r\n", 400, INVALID),
    "a space before the colon": Case(HEALTH + b"Host : evil.example\r\n\r\n", 400, INVALID),
    "two hosts": Case(HEALTH + HOST + CLOSE + b"\r\n", 400, b"the header Host twice"),
    "two keys": Case(HEALTH + CLOSE + b"Authorization: a\r\n" * 2 + b"\r\n", 400, b"the header Authorization twice"),
    "two content types": Case(post(TEXT, CLOSE, JSON), 400, b"the header Content-Type twice"),
    "two lengths": Case(LENGTH + b"5\r\nContent-Length: 5\r\n\r\nabcde", 400, INVALID),
    "a length and chunks": Case(LENGTH + b"5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, INVALID),
    "a negative length": Case(LENGTH + b"-5\r\n\r\n", 400, INVALID),
    "a length beyond all numbers": Case(LENGTH + b"9" * 30 + b"\r\n\r\n", 400, INVALID),
    "a length beyond the limit": Case(LENGTH + b"99999999\r\n" + CLOSE + b"\r\n", 413, b"larger than 16,000,000"),
    "a length that is a word": Case(LENGTH + b"five\r\n\r\n", 400, INVALID),
    "half a body": Case(LENGTH + b"100\r\n\r\nabc", 0, responses=0, half_close=True),
    "chunks": Case(CHUNKED + b"5\r\n" + TEXT[:5] + b"\r\n10;a=b\r\n" + TEXT[5:] + b"\r\n0\r\na: b\r\n\r\n", 200),
    "a chunk without a size": Case(CHUNKED + b"zz\r\nhi", 400, INVALID),
    "a chunk of a huge size": Case(CHUNKED + b"f" * 40 + b"\r\n", 400, INVALID),
    "a chunk with an endless extension": Case(CHUNKED + b"1;" + b"a" * 1_000_000, 431),
    "endless trailers": Case(CHUNKED + b"0\r\n" + b"a: b\r\n" * 50_000, 431),
    "an endless trailer": Case(CHUNKED + b"0\r\na: " + b"b" * 1_000_000, 431),
    "another coding": Case(CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n", 400),
    "100-continue": Case(post(TEXT, CLOSE, b"Expect: 100-continue\r\n"), 100, OK, responses=2),
    "ten thousand requests at once": Case((HEALTH + b"\r\n") * 9_999 + HEALTH + CLOSE + b"\r\n", 200, responses=10_000),
    "bodies at once, then a closed side": Case(post(TEXT) * 50, 200, responses=50, half_close=True),
    "garbage after a request": Case(HEALTH + b"\r\nxx\x00garbage\r\n\r\n", 200),
    "WebSocket": Case(
        HEALTH
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        + HEALTH
        + CLOSE
        + b"\r\n",
        200,
        responses=2,
    ),
    "h2c": Case(
        post(TEXT, b"Connection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"), 200
    ),
    "CONNECT": Case(b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, INVALID),
    "TRACE": Case(b"TRACE / HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405),
    "OPTIONS": Case(b"OPTIONS /embed HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405),
    "OPTIONS *": Case(b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "HEAD": Case(b"HEAD /health HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 200),
    "a made-up method": Case(b"FETCH /health HTTP/1.1\r\n" + HOST + b"\r\n", 400, INVALID),
    "escapes in the path": Case(b"GET /%ff%00%zz%0a%0d%1b HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404, rb"\\x1b"),
    "bytes in the path": Case(b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n", 400, INVALID),
    "dots in the path": Case(b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 404),
    "POST where there is no such route": Case(post(b"", CLOSE, path=b"/health").replace(JSON, b""), 405),
    "no content type": Case(post(TEXT, CLOSE).replace(JSON, b""), 415),
    "an invalid flag": Case(post(TEXT, CLOSE, path=b"/trace?arrays=secret"), 400, b"arrays must be true or false"),
    "a key with control characters": Case(
        post(b'{"inputs": "a", "x\\u001b[31m": 1}', CLOSE), 400, rb"Unknown key 'x\\x1b[31m'"
    ),
    "a million nulls": Case(post(b'{"inputs": [' + b"null," * 999_999 + b"null]}", CLOSE), 400, b"inputs.0: Must be"),
    "millions of lists": Case(
        post(b'{"inputs": [' + b"[]," * 5_000_000 + b"[]]}", CLOSE), 400, b"5,000,002 lists are too many"
    ),
    "a million keys": Case(
        post(b'{"inputs": "a"' + b"".join(b',"%d":1' % n for n in range(1_000_000)) + b"}", CLOSE),
        400,
        b"The limit is 2,048",
    ),
    "a million brackets": Case(post(b'{"inputs": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", CLOSE), 400),
    "a number of a million digits": Case(post(b'{"inputs": [' + b"1" * 1_000_000 + b"]}", CLOSE), 400),
}


@pytest.fixture(scope="module")
def served(model) -> Iterator[Process]:
    with process("--model", model) as found:
        yield found


def exchange(server: Process, case: Case) -> bytes:
    """All bytes that the server sends until it closes the connection. A reset or a minute of silence is an error."""
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as connected:
        connected.settimeout(60)

        def send() -> None:
            try:
                connected.sendall(case.sent)
                if case.half_close:
                    connected.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The server answered before it had received everything.

        sending = threading.Thread(target=send)
        sending.start()
        received = read_to_end(connected)
        if case.half_close:  # The server may first test whether the client is still there.
            received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        sending.join(60)
    assert not sending.is_alive()
    return received


@pytest.mark.parametrize("name", CASES)
def test_each_case_gets_a_clean_response_or_a_clean_close(served, name):
    case = CASES[name]
    received = exchange(served, case)
    assert received.count(b"\r\nHTTP/1.1 ") + received.startswith(b"HTTP/1.1 ") >= min(case.responses, 1)
    if case.responses:
        assert received.startswith(b"HTTP/1.1 %d " % case.status), received[:200]
        assert case.words in received
        assert (
            received.count(b"HTTP/1.1 %d " % case.status) + received.count(b"HTTP/1.1 200 OK") * (case.status != 200)
            == case.responses
        )
    else:
        assert received == b""
    assert b"Traceback" not in received
    assert b"secret" not in received
    assert httpx.get(f"{served.url}/health", timeout=20).status_code == 200


def test_no_case_made_the_server_fail(served):
    """This test runs after all others in this file."""
    assert served.process.poll() is None
    assert not [line for line in served.log() if '"failed"' in line or "Traceback" in line]
