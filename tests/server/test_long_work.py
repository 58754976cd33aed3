"""Long work takes turns, and ends when its time is over or its client has left. A failure does not end its thread."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from pellucid.server.settings import Limits
from tests.server.conftest import connected, http_request, read_to_end, wait_until

LONG = ["the cat sat on the mat " * 1000] * 20
"""Too long to be tokenized on the event loop. It takes many turns."""


class Panic(BaseException):
    """Like pyo3's PanicException, which is not an Exception."""


@pytest.fixture
def slow(serve, monkeypatch):
    """Starts a server with a slow tokenizer, and returns it with a list that grows at each step of the tokenizer."""

    def start(turn: float, **limits):
        own = serve(limits=Limits(**limits), on_truncation="cut")
        service = next(own.serving.models.states()).service
        tokenizer = service.task.tokenizer
        steps = []
        tokenize = type(tokenizer).tokenize

        def tokenize_slowly(_self, texts, prompt="", *, first=0, check=lambda: None):
            for _ in range(max(1, round(turn / 0.02))):
                check()
                steps.append(len(texts))
                time.sleep(0.02)
            return tokenize(tokenizer, texts, prompt, first=first, check=check)

        monkeypatch.setattr(type(tokenizer), "tokenize", tokenize_slowly)
        return own, steps

    return start


def waiting_characters(own) -> float:
    lines = own.client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("pellucid_waiting_characters"))


@pytest.mark.parametrize("path", ["/embed", "/view/map"])
def test_tokenizing_ends_when_the_time_is_over(slow, path):
    own, steps = slow(120, seconds=3)  # In which the body must have come.
    start = time.monotonic()
    answer = own.client.post(path, json={"inputs": LONG})
    assert answer.status_code == 503
    assert "within 3 s" in answer.text
    assert time.monotonic() - start < 60
    wait_until(lambda: waiting_characters(own) == 0)
    count = len(steps)
    time.sleep(0.2)
    assert len(steps) <= count + 1


def test_a_client_that_closes_its_sending_side_is_probed_and_still_answered(slow):
    own, steps = slow(1)
    with connected(own, http_request("/embed", {"inputs": LONG})) as connection:
        wait_until(lambda: steps)
        connection.shutdown(socket.SHUT_WR)
        received = read_to_end(connection)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_tokenizing_ends_when_the_client_has_left(slow):
    own, steps = slow(30)
    with connected(own, http_request("/embed", {"inputs": LONG})):
        wait_until(lambda: steps)
    wait_until(lambda: waiting_characters(own) == 0)
    count = len(steps)
    time.sleep(0.2)
    assert len(steps) <= count + 1
    wait_until(lambda: own.serving.budget.in_use == 0)


def test_a_request_of_one_turn_does_not_wait_for_a_request_of_many(slow):
    own, _ = slow(0.1)
    with ThreadPoolExecutor(1) as pool:
        many = pool.submit(own.client.post, "/embed", json={"inputs": LONG})
        wait_until(lambda: waiting_characters(own) > 0)
        one = httpx.post(f"{own.url}/embed", json={"inputs": LONG[:1]}, timeout=60)
        assert one.status_code == 200
        assert not many.done()
        assert many.result().status_code == 200


@pytest.mark.parametrize("path", ["/tokenize", "/decode", "/trace", "/view/trace"])
def test_other_long_work_ends_when_the_time_is_over(serve, monkeypatch, path):
    own = serve(limits=Limits(seconds=1))
    service = next(own.serving.models.states()).service
    free = threading.Event()
    for name in ("inspect", "decode"):
        monkeypatch.setattr(type(service.task.tokenizer), name, lambda *_, **__: free.wait(60))
    body = {"/tokenize": {"inputs": ["the cat"] * 3}, "/decode": {"ids": [[5]] * 3}}.get(path, {"input": "the cat"})
    answer = own.client.post(path, json=body)
    free.set()
    assert answer.status_code == 503
    assert "within 1 s" in answer.text
    wait_until(lambda: own.serving.budget.in_use == 0)


@pytest.mark.parametrize("size", [1, 1000])
def test_after_a_panic_in_the_tokenizer_the_server_answers_500_in_json_and_goes_on(serve, monkeypatch, size):
    own = serve(on_truncation="cut")
    service = next(own.serving.models.states()).service

    def panic(*_, **__):
        raise Panic("the cat")

    with monkeypatch.context() as patch:
        patch.setattr(type(service.task.tokenizer), "tokenize", panic)
        answer = own.client.post("/v1/embeddings", json={"input": ["the cat sat on the mat " * 100] * size})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "cat" not in answer.text
    assert own.client.post("/v1/embeddings", json={"input": LONG}).status_code == 200


def test_after_a_panic_in_the_engine_the_server_answers_500_and_goes_on(serve, monkeypatch):
    own = serve()
    engine = next(own.serving.models.states()).service.task.engine

    def panic(_):
        raise Panic

    with monkeypatch.context() as patch:
        patch.setattr(engine, "run_each", panic)
        assert own.client.post("/v1/embeddings", json={"input": "the cat"}).status_code == 500
    assert own.client.post("/v1/embeddings", json={"input": "the cat"}).status_code == 200


def test_long_responses_have_the_same_bytes_as_short_ones(server, embedder, monkeypatch):
    texts = ["the cat sat", "a dog", "the mat"] * 40
    requests = [
        ("/v1/embeddings", {"input": texts}),
        ("/v1/embeddings", {"input": texts, "encoding_format": "base64"}),
        ("/embed", {"inputs": texts}),
        ("/embed_all", {"inputs": texts}),
    ]
    short = [server.client.post(path, json=body).content for path, body in requests]
    monkeypatch.setattr("pellucid.server.http.answers._SHORT_NUMBERS", 10)
    monkeypatch.setattr("pellucid.server.http.answers._SLICE_NUMBERS", 100)
    assert [server.client.post(path, json=body).content for path, body in requests] == short


@pytest.mark.parametrize("path", ["/embed", "/embed_all"])
def test_a_vector_that_is_not_finite_gives_a_500_with_the_texts_position(serve, monkeypatch, path):
    own = serve()
    engine = next(own.serving.models.states()).service.task.engine
    run_each = engine.run_each

    def broken(requests):
        results = run_each(requests)
        getattr(results[-1], "vectors", results[-1])[-1] = np.inf
        return results

    monkeypatch.setattr(engine, "run_each", broken)
    answer = own.client.post(path, json={"inputs": ["a dog", "the cat"]})
    assert answer.status_code == 500
    assert "text 1 a vector that is not finite" in answer.json()["error"]
