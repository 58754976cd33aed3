from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pellucid import Embedder, MultiVectorEmbedder, Reranker
from pellucid.server.settings import Limits
from tests.server.conftest import connected, http_request, wait_until

WORDS = ["the", "cat", "sat", "on", "mat", "a", "dog", "and", "bird"]


def texts_of(seed):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 7))) for _ in range(rng.integers(1, 5))]


@pytest.fixture
def blocked(serve, monkeypatch):
    """Starts a server whose engine waits for an event. Returns the server, the event, and a list of the calls."""

    def start(models=(), **limits):
        own = serve(*models, limits=Limits(**limits))
        service = next(own.serving.models.states()).service
        free, calls = threading.Event(), []
        engine = service.task.engine
        compute = engine.run_each

        def wait_and_compute(requests):
            calls.append([length for batch, _ in requests for length in batch.lengths.tolist()])
            assert free.wait(60)
            return compute(requests)

        monkeypatch.setattr(engine, "run_each", wait_and_compute)
        return own, service, free, calls

    return start


def post(own, texts, **options):
    return own.client.post("/v1/embeddings", json={"input": texts}, **options)


def test_concurrent_requests_get_exactly_their_own_vectors(server, embedder):
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


def test_rerankers_share_calls_of_the_engine_and_get_exactly_their_own_scores(scoring_server, reranker_model):
    def one(seed):
        query, *documents = [*texts_of(seed), "a mat"]
        answer = scoring_server.client.post("/v1/rerank", json={"query": query, "documents": documents})
        assert answer.status_code == 200, answer.text
        return [(each["index"], each["relevance_score"]) for each in answer.json()["results"]]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(60)))
    reranker = Reranker(reranker_model, activation="sigmoid", on_truncation="cut")
    for seed, ranks in enumerate(found):
        query, *documents = [*texts_of(seed), "a mat"]
        assert ranks == [(ranked.index, ranked.score) for ranked in reranker.rank(query, documents)]


def test_queries_and_documents_share_calls_of_the_engine_and_get_exactly_their_own_vectors(
    vectors_server, multi_vector_model
):
    task = MultiVectorEmbedder(multi_vector_model, on_truncation="cut")
    embed = (task.embed_documents, task.embed_queries)

    def one(seed):
        body = {
            "inputs": texts_of(seed),
            "input_type": ["document", "query"][seed % 2],
            "model": "colbert",
            "truncate": True,
        }
        answer = vectors_server.client.post("/embed_all", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(one, range(60)))
    for seed, texts in enumerate(found):
        assert texts == [vectors.tolist() for vectors in embed[seed % 2](texts_of(seed))]


def test_requests_for_two_encoders_of_a_model_may_be_in_one_call(blocked, asymmetric_model):
    own, service, free, calls = blocked(models=(asymmetric_model,))
    task = Embedder(asymmetric_model)

    def one(text, input_type):
        return own.client.post("/v1/embeddings", json={"input": text, "input_type": input_type}).json()["data"]

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(one, "the cat", "document")
        wait_until(lambda: calls)
        others = [pool.submit(one, "a dog", side) for side in ("query", "document", "query", "document")]
        wait_until(lambda: service.count_waiting() == (4, 16))
        free.set()
        query, document, *_ = vectors = [future.result()[0]["embedding"] for future in others]
        first.result()
    assert calls == [[4], [4] * 2]  # Those of the documents' encoder.
    assert vectors == [query, document] * 2
    assert query == task.embed_query("a dog").tolist()
    assert document == task.embed_documents(["a dog"])[0].tolist()
    assert query != document


def test_requests_that_arrive_while_the_engine_works_share_one_call(blocked):
    own, service, free, calls = blocked()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(post, own, ["the cat"])
        wait_until(lambda: calls)
        others = [pool.submit(post, own, ["a dog"]) for _ in range(4)]
        wait_until(lambda: service.count_waiting() == (4, 16))
        free.set()
        assert {future.result().status_code for future in [first, *others]} == {200}
    assert calls == [[4], [4] * 4]


def test_nothing_is_computed_for_a_client_that_has_hung_up(blocked):
    own, service, free, calls = blocked()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, own, ["the cat"])
        wait_until(lambda: calls)
        with connected(own, http_request("/v1/embeddings", {"input": ["a dog"]})):
            wait_until(lambda: service.count_waiting() == (1, 4))
        wait_until(lambda: service.count_waiting() == (0, 0))
        free.set()
        assert first.result().status_code == 200
    assert calls == [[4]]


def test_a_full_queue_gives_a_429_that_says_when_to_try_again(blocked):
    own, service, free, calls = blocked(waiting_tokens=40)
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(post, own, ["the cat"])]
        wait_until(lambda: calls)
        futures += [pool.submit(post, own, ["a dog"] * 5) for _ in range(2)]
        wait_until(lambda: service.count_waiting()[0] == 2)
        refused = post(own, ["a dog"])
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        free.set()
        assert {future.result().status_code for future in futures} == {200}
    assert post(own, ["a dog"]).status_code == 200


def test_a_request_that_takes_too_long_gets_a_503(blocked):
    own, service, free, _ = blocked(seconds=0.2)
    answer = post(own, ["the cat"])
    assert answer.status_code == 503
    assert "within 0.2 s" in answer.json()["error"]["message"]
    assert service.count_waiting() == (0, 0)
    free.set()


def test_when_the_engine_fails_only_the_requests_of_that_call_get_a_500(serve, monkeypatch):
    own = serve()
    engine = next(own.serving.models.states()).service.task.engine
    with monkeypatch.context() as patch:
        patch.setattr(engine, "run_each", lambda _: 1 / 0)
        answer = post(own, ["the cat"])
        assert answer.status_code == 500
        assert "ZeroDivision" not in answer.text
    assert post(own, ["the cat"]).status_code == 200
