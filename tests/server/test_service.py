from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pellucid.server.settings import Limits
from tests.server.conftest import connected, request_of, until

WORDS = ["the", "cat", "sat", "on", "mat", "a", "dog", "and", "bird"]


def texts_of(seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 7))) for _ in range(rng.integers(1, 5))]


@pytest.fixture
def held(serve, monkeypatch):
    """A server whose engine waits until it is let go, and the calls that it got."""

    def start(**limits):
        own = serve(limits=Limits(**limits))
        service = next(own.serving.models.states()).service
        free, calls = threading.Event(), []
        engine = service.embedder.engine
        compute = engine.token_vectors

        def waiting(batch):
            calls.append(batch.lengths.tolist())
            assert free.wait(60)
            return compute(batch)

        monkeypatch.setattr(engine, "token_vectors", waiting)
        return own, service, free, calls

    return start


def post(own, texts, **options):
    return own.client.post("/v1/embeddings", json={"input": texts}, **options)


def test_many_at_once_get_their_own_vectors_to_the_bit(server, embedder):
    def one(seed):
        options = [{}, {"dimensions": 3}, {"prompt_name": "query"}][seed % 3]
        body = {"input": texts_of(seed), **options}
        answer = server.client.post("/v1/embeddings", json=body)
        assert answer.status_code == 200, answer.text
        return np.array([item["embedding"] for item in answer.json()["data"]], dtype=np.float32)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(120)))
    for seed, vectors in enumerate(found):
        options = [{}, {"truncate_dim": 3, "normalize": True}, {"prompt_name": "query"}][seed % 3]
        assert (vectors == embedder.embed_documents(texts_of(seed), **options)).all()


def test_what_comes_while_the_engine_works_goes_in_one_call(held):
    own, service, free, calls = held()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(post, own, ["the cat"])
        until(lambda: calls)
        others = [pool.submit(post, own, ["a dog"]) for _ in range(4)]
        until(lambda: service.waiting() == (4, 16))
        free.set()
        assert {future.result().status_code for future in [first, *others]} == {200}
    assert calls == [[4], [4] * 4]


def test_who_hangs_up_costs_no_arithmetic(held):
    own, service, free, calls = held()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, own, ["the cat"])
        until(lambda: calls)
        with connected(own, request_of("/v1/embeddings", {"input": ["a dog"]})):
            until(lambda: service.waiting() == (1, 4))
        until(lambda: service.waiting() == (0, 0))
        free.set()
        assert first.result().status_code == 200
    assert calls == [[4]]


def test_too_much_is_a_429_that_says_when_to_come_back(held):
    own, service, free, calls = held(waiting_tokens=40)
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(post, own, ["the cat"])]
        until(lambda: calls)
        futures += [pool.submit(post, own, ["a dog"] * 5) for _ in range(2)]
        until(lambda: service.waiting()[0] == 2)
        refused = post(own, ["a dog"])
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        free.set()
        assert {future.result().status_code for future in futures} == {200}
    assert post(own, ["a dog"]).status_code == 200


def test_what_takes_too_long_is_a_503(held):
    own, service, free, _ = held(seconds=0.2)
    answer = post(own, ["the cat"])
    assert answer.status_code == 503
    assert "within 0.2 s" in answer.json()["error"]["message"]
    assert service.waiting() == (0, 0)
    free.set()


def test_an_engine_that_fails_is_a_500_for_those_of_the_call_alone(serve, monkeypatch):
    own = serve()
    engine = next(own.serving.models.states()).service.embedder.engine
    with monkeypatch.context() as patch:
        patch.setattr(engine, "token_vectors", lambda _: 1 / 0)
        answer = post(own, ["the cat"])
        assert answer.status_code == 500
        assert "ZeroDivision" not in answer.text
    assert post(own, ["the cat"]).status_code == 200
