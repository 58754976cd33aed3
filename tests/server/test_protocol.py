"""One connection: what is too slow ends, who hangs up is noticed, and what was held is given back."""

from __future__ import annotations

import json
import socket
import time

import pytest

from pellucid.server.settings import Limits
from tests.server.conftest import connected, request_of, rest, until

HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
QUICK = Limits(header_seconds=0.2, pause_seconds=0.2, answer_seconds=0.2, connections=8)


def held(server) -> int:
    return server.serving.budget.in_use


def metric(server, name: str) -> float:
    lines = [line for line in server.client.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (HEAD, b"The headers were not there within 0.2 s"),
        (HEAD + b"Content-Length: 9\r\n\r\n{", b"Nothing more of the body"),
    ],
)
def test_who_sends_too_slowly_gets_a_408(serve, sent, words):
    own = serve(limits=QUICK)
    with connected(own, sent) as slow:
        answer = rest(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert words in answer
    assert metric(own, 'pellucid_refused_total{reason="slow_request"}') == 1
    until(lambda: held(own) == 0)


def test_who_does_not_read_its_answer_holds_memory_until_it_is_cut_off(serve):
    asked = request_of("/embed_all", {"inputs": ["the cat sat on the mat"] * 2000})
    with connected(serve(limits=Limits(answered_tokens=10**9)), asked) as patient:
        whole = len(rest_of_answer(patient))
    own = serve(limits=Limits(answered_tokens=10**9, answer_seconds=0.2))
    with connected(own, asked) as idle:
        until(lambda: held(own) > whole // 2)
        until(lambda: held(own) == 0)
        assert metric(own, 'pellucid_refused_total{reason="slow_reader"}') == 1
        assert len(rest(idle)) < whole


def rest_of_answer(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1 << 16)
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 20)
    return body


def test_half_sent_bodies_hold_what_came_and_give_it_back(serve):
    own = serve()
    with connected(own, HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000):
        until(lambda: 500_000 <= held(own) <= 700_000)
        assert metric(own, "pellucid_request_memory_bytes") >= 500_000
    until(lambda: held(own) == 0)


def test_a_full_budget_refuses_with_a_503_and_recovers(serve):
    own = serve(limits=Limits(request_bytes=2_000_000))
    with connected(own, HEAD + b"Content-Length: 1800000\r\n\r\n" + b"x" * 1_400_000):
        until(lambda: held(own) > 1_400_000)
        with connected(own, HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 400_000) as second:
            answer = rest(second)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_memory_full"
        assert own.client.post("/v1/embeddings", json={"input": "the cat"}).status_code == 200
    until(lambda: held(own) == 0)
    assert own.client.post("/v1/embeddings", json={"input": "the cat " * 2000, "truncate": True}).status_code == 200


def test_a_body_that_never_fits_is_a_413(serve):
    own = serve(limits=Limits(request_bytes=1_000_000))
    answer = own.client.post("/v1/embeddings", json={"input": "x" * 990_000})
    assert answer.status_code == 413
    assert "--request-memory" in answer.json()["error"]["message"]


def test_too_many_connections_are_refused_and_idle_ones_make_room(serve):
    own = serve(limits=Limits(connections=8))
    own.client.close()
    working = [connected(own, HEAD) for _ in range(8)]  # Their headers are not whole yet.
    for one in working:
        one.__enter__()
    until(lambda: len(own.serving.connections.open) == 8)
    with connected(own, b"") as one_more:
        answer = rest(one_more)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too_many_connections" in answer
    for one in working:
        one.__exit__(None, None, None)
    until(lambda: not own.serving.connections.open)


def test_idle_connections_make_room_for_a_new_one(serve):
    own = serve(limits=Limits(connections=4))
    own.client.close()
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    idle = [connected(own, health) for _ in range(4)]
    entered = [one.__enter__() for one in idle]
    for one in entered:
        assert one.recv(1000).startswith(b"HTTP/1.1 200")
    time.sleep(1.1)
    with connected(own, health) as new:
        assert new.recv(1000).startswith(b"HTTP/1.1 200")
    for one in idle:
        one.__exit__(None, None, None)


def test_requests_that_wait_behind_another_are_given_back_when_the_client_leaves(serve):
    own = serve()
    with connected(own, request_of("/v1/embeddings", {"input": "the cat"}) * 500):
        until(lambda: held(own) > 0)
    until(lambda: held(own) == 0)
    assert own.client.get("/health").status_code == 200


def test_nothing_is_held_when_nothing_is_asked(server):
    for _ in range(20):
        server.client.post("/v1/embeddings", json={"input": ["the cat"] * 50})
        server.client.post("/v1/embeddings", json={"input": 3})
        server.client.post("/trace?arrays=true", json={"input": "the cat"})
        server.client.options("/embed")
    until(lambda: held(server) == 0)
