"""The limits of memory, and what does not depend on them."""

from __future__ import annotations

import pytest
from safetensors.numpy import load_file, save_file

from pellucid import MultiVectorEmbedder
from pellucid.server.http import late_interaction
from pellucid.server.settings import Limits
from tests import multi_vector_models

DOCUMENTS = [f"the cat {'sat ' * (number % 7)}on a mat" for number in range(40)]


@pytest.fixture(scope="module")
def late(multi_vector_model):
    return MultiVectorEmbedder(multi_vector_model, on_truncation="cut")


@pytest.mark.parametrize("tokens", [1, 20, 100])
def test_documents_that_are_scored_in_parts_get_the_same_scores(vectors_server, late, monkeypatch, tokens):
    monkeypatch.setattr(late_interaction, "_TOKENS_PER_PART", tokens)
    found = vectors_server.client.post("/score", json={"text_1": "a dog", "text_2": DOCUMENTS}).json()["data"]
    assert [each["score"] for each in found] == late.maxsim("a dog", DOCUMENTS).tolist()


def test_scores_in_parts_count_as_one_request(serve, multi_vector_model, monkeypatch):
    monkeypatch.setattr(late_interaction, "_TOKENS_PER_PART", 20)
    own = serve(multi_vector_model)
    own.client.post("/score", json={"text_1": "a dog", "text_2": DOCUMENTS})
    own.client.post("/embed_all", json={"inputs": DOCUMENTS})
    (stats,) = own.client.get("/stats").json()["models"]
    assert (stats["requests"], stats["texts"]) == (2, 1 + 2 * len(DOCUMENTS))


def test_scoring_takes_memory_for_a_part_of_the_documents_at_a_time(serve, multi_vector_model, late, monkeypatch):
    own = serve(multi_vector_model, limits=Limits(request_bytes=200_000))
    body = {"text_1": "a dog", "text_2": DOCUMENTS * 10}
    assert own.client.post("/score", json=body).status_code == 413
    monkeypatch.setattr(late_interaction, "_TOKENS_PER_PART", 300)
    found = own.client.post("/score", json=body).json()["data"]
    assert [each["score"] for each in found] == late.maxsim("a dog", DOCUMENTS * 10).tolist()
    assert own.serving.budget.in_use < 10_000


def test_the_memory_of_vectors_of_tokens_is_limited(serve, multi_vector_model):
    own = serve(multi_vector_model, limits=Limits(request_bytes=300_000))
    assert own.client.post("/embed_all", json={"inputs": DOCUMENTS}).status_code == 200
    refused = own.client.post("/embed_all", json={"inputs": DOCUMENTS * 10})
    assert refused.status_code == 413
    assert "needs" in refused.json()["error"]


def test_the_memory_of_merging_is_limited_by_the_longest_text(serve, tmp_path, monkeypatch):
    folder = multi_vector_models.write_model(tmp_path / "m", pooling={"pool_factor": 2, "num_protected_tokens": 1})
    own = serve(str(folder))
    monkeypatch.setattr(late_interaction, "_MERGED_PAIR_BYTES", 10**6)
    assert own.client.post("/embed_all", json={"inputs": ["a dog"] * 50}).status_code == 200
    assert own.client.post("/embed_all", json={"inputs": ["the cat sat on the mat " * 3]}).status_code == 413


def test_the_position_of_a_document_that_is_not_finite_counts_all_documents(serve, tmp_path, monkeypatch):
    """The word "dog" has so large a vector that the first norm is not finite."""
    folder = multi_vector_models.write_model(tmp_path / "m", normalize=False)
    tensors = load_file(folder / "model.safetensors")
    dog = MultiVectorEmbedder(folder).tokenizer.token_id("dog")
    tensors["embeddings.word_embeddings.weight"][dog] = 3e38
    save_file(tensors, folder / "model.safetensors")
    monkeypatch.setattr(late_interaction, "_TOKENS_PER_PART", 5)
    body = {"query": "the cat", "texts": ["a", "the mat", "the cat sat", "a dog", "a dog"]}
    answer = serve(str(folder)).client.post("/rerank", json=body)
    assert answer.status_code == 500
    assert "gives text 3 a vector that is not finite" in answer.json()["error"]
