"""One connection: slow clients are cut off, clients that hang up are noticed, and memory is given back."""

from __future__ import annotations

import json
import socket
import time

import pytest

from pellucid.server.settings import Limits
from tests.server.conftest import connected, http_request, read_to_end, wait_until

HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
QUICK = Limits(header_seconds=0.2, pause_seconds=0.2, answer_seconds=0.2, connections=8)


def memory_in_use(server) -> int:
    return server.serving.budget.in_use


def metric(server, name: str) -> float:
    lines = [line for line in server.client.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (HEAD, b"The headers did not arrive within 0.2 s"),
        (HEAD + b"Content-Length: 9\r\n\r\n{", b"No more of the body arrived for 0.2 s"),
    ],
)
def test_a_client_that_sends_too_slowly_gets_a_408(serve, sent, words):
    own = serve(limits=QUICK)
    with connected(own, sent) as slow:
        answer = read_to_end(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert words in answer
    assert metric(own, 'pellucid_refused_total{reason="slow_request"}') == 1
    wait_until(lambda: memory_in_use(own) == 0)


def test_a_client_that_does_not_read_its_response_uses_memory_until_it_is_cut_off(serve):
    request = http_request("/embed_all", {"inputs": ["the cat sat on the mat"] * 2000})
    with connected(serve(limits=Limits(answered_tokens=10**9)), request) as patient:
        whole = len(read_response_body(patient))
    own = serve(limits=Limits(answered_tokens=10**9, answer_seconds=0.2))
    with connected(own, request) as idle:
        wait_until(lambda: memory_in_use(own) > whole // 2)
        wait_until(lambda: memory_in_use(own) == 0)
        assert metric(own, 'pellucid_refused_total{reason="slow_reader"}') == 1
        assert len(read_to_end(idle)) < whole


def read_response_body(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1 << 16)
    head, _, body = head.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 20)
    return body


def test_half_sent_bodies_use_memory_for_what_arrived_and_give_it_back(serve):
    own = serve()
    with connected(own, HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000):
        wait_until(lambda: 500_000 <= memory_in_use(own) <= 700_000)
        assert metric(own, "pellucid_request_memory_bytes") >= 500_000
    wait_until(lambda: memory_in_use(own) == 0)


def test_a_full_budget_refuses_with_a_503_and_recovers(serve):
    own = serve(limits=Limits(request_bytes=2_000_000))
    with connected(own, HEAD + b"Content-Length: 1800000\r\n\r\n" + b"x" * 1_400_000):
        wait_until(lambda: memory_in_use(own) > 1_400_000)
        with connected(own, HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 400_000) as second:
            answer = read_to_end(second)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_memory_full"
        assert own.client.post("/v1/embeddings", json={"input": "the cat"}).status_code == 200
    wait_until(lambda: memory_in_use(own) == 0)
    assert own.client.post("/v1/embeddings", json={"input": "the cat " * 2000, "truncate": True}).status_code == 200


def test_a_body_that_never_fits_gets_a_413(serve):
    own = serve(limits=Limits(request_bytes=1_000_000))
    answer = own.client.post("/v1/embeddings", json={"input": "x" * 990_000})
    assert answer.status_code == 413
    assert "--request-memory" in answer.json()["error"]["message"]


def test_too_many_connections_are_refused(serve):
    own = serve(limits=Limits(connections=8))
    own.client.close()
    working = [connected(own, HEAD) for _ in range(8)]  # Their headers are incomplete.
    for one in working:
        one.__enter__()
    wait_until(lambda: len(own.serving.connections.open) == 8)
    with connected(own, b"") as one_more:
        answer = read_to_end(one_more)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"too_many_connections" in answer
    for one in working:
        one.__exit__(None, None, None)
    wait_until(lambda: not own.serving.connections.open)


def test_an_idle_connection_makes_room_for_a_new_one(serve):
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


def test_the_memory_of_waiting_requests_is_given_back_when_the_client_leaves(serve):
    own = serve()
    with connected(own, http_request("/v1/embeddings", {"input": "the cat"}) * 500):
        wait_until(lambda: memory_in_use(own) > 0)
    wait_until(lambda: memory_in_use(own) == 0)
    assert own.client.get("/health").status_code == 200


def test_no_memory_is_in_use_between_requests(server):
    for _ in range(20):
        server.client.post("/v1/embeddings", json={"input": ["the cat"] * 50})
        server.client.post("/v1/embeddings", json={"input": 3})
        server.client.post("/trace?arrays=true", json={"input": "the cat"})
        server.client.options("/embed")
    wait_until(lambda: memory_in_use(server) == 0)
