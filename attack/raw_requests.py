"""Send requests made of random pieces, most of which are not valid HTTP."""

from __future__ import annotations

import random

from attack.served import RunningServer

_LINES = (
    b"GET /health HTTP/1.1",
    b"POST /embed HTTP/1.1",
    b"GET / HTTP/9.9",
    b"GET /health",
    b"PRI * HTTP/2.0",
    b"",
    b"\0",
)
_LINES += (
    b"GET /%ff%00%2e%2e/../../etc/passwd HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1",
    b"TRACE / HTTP/1.1",
)
_LINES += (b"G\x80T /health HTTP/1.1", b"GET  /health  HTTP/1.1", b"get /health http/1.1", b"GET /\xff\xfe HTTP/1.1")
_LINES += (b"GET /docs?%s HTTP/1.1" % (b"a=b&" * 2000), b"HEAD /health HTTP/1.1", b"POST /v1/embeddings HTTP/1.0")
_HEADERS = (
    b"Host: 127.0.0.1",
    b"Host: localhost",
    b"Host: 127.0.0.1:80\0",
    b"Host: a b",
    b"Content-Length: 5",
    b"Content-Length: -1",
)
_HEADERS += (
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 6",
    b"Content-Length: 0x5",
    b"Content-Length:",
)
_HEADERS += (
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding : chunked",
    b" folded: a",
)
_HEADERS += (
    b"Content-Type: application/json",
    b"Content-Type: \xff",
    b"Authorization: Bearer \xff",
    b"X-Request-Id: \x1b[31m",
)
_HEADERS += (
    b"X-Request-Id: " + b"a" * 5000,
    b"Origin: null",
    b"Origin: http://evil.example",
    b"Connection: \0",
    b"a\0b: c",
    b": empty",
)
_HEADERS += (
    b"Expect: 100-continue",
    b"Range: bytes=0-1",
    b"Cookie: " + b"a=b; " * 500,
    b"Accept: text/event-stream",
    b"Upgrade: x",
)
_BODIES = (
    b"",
    b"{}",
    b"hello",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\na",
    b"-1\r\n",
    b"0\r\n\r\nGET /health HTTP/1.1\r\n\r\n",
)
_BODIES += (
    b'{"inputs":"a"}',
    b'{"inputs":"a"',
    b"\xef\xbb\xbf{}",
    b'{"inputs":NaN}',
    b'{"inputs":"\\ud800"}',
    b'{"inputs":' + b"1" * 6000,
)


def send(server: RunningServer, rng: random.Random) -> None:
    """Send twenty requests of random pieces. The server must answer each one or close its connection, without a 500."""
    for _ in range(20):
        headers = rng.sample(_HEADERS, rng.randrange(6)) + [b"Host: 127.0.0.1"] * (rng.random() < 0.7)
        newline = rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"))
        request = newline.join([rng.choice(_LINES), *headers, b"", rng.choice(_BODIES)])
        if rng.random() < 0.2:
            place = rng.randrange(len(request) + 1)
            request = request[:place] + rng.randbytes(5) + request[place:]
        print(repr(request[:200]), flush=True)
        response = server.request(request, 10, half_close=True)
        for status_and_rest in response.split(b"HTTP/1.1 ")[1:]:
            assert status_and_rest[:3] != b"500", f"the response to {request[:200]!r} is a 500"
        assert b"Traceback" not in response, "the response has a traceback"
