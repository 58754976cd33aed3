from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Classifier, Reranker, SparseEmbedder
from pellucid.server.settings import Limits

TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]


def ask(server, path, **body):
    answer = server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_embed_gives_the_vectors_of_the_library(server, embedder, path):
    found = np.array(ask(server, path, inputs=TEXTS), dtype=np.float32)
    assert (found == embedder.embed_documents(TEXTS, normalize=True)).all()
    (single,) = ask(server, path, inputs=TEXTS[0])
    assert (np.array(single, dtype=np.float32) == found[0]).all()


def test_embed_gives_the_default_vectors_of_a_model_with_unit_length(server, embedder):
    assert embedder.spec.unit_length
    found = np.array(ask(server, "/embed", inputs=TEXTS), dtype=np.float32)
    assert (found == embedder.embed_documents(TEXTS)).all()


def test_embed_without_unit_length_and_with_fewer_dimensions(server, embedder):
    found = np.array(ask(server, "/embed", inputs=TEXTS, normalize=False, dimensions=5), dtype=np.float32)
    assert (found == embedder.embed_documents(TEXTS, normalize=False, truncate_dim=5)).all()


def test_embed_all_gives_the_token_vectors_of_the_engine(server, embedder):
    tokens = embedder.tokenizer.tokenize(TEXTS)[0]
    expected = np.split(embedder.engine.token_vectors(tokens), tokens.offsets[1:-1])
    found = ask(server, "/embed_all", inputs=TEXTS)
    for text, vectors in zip(found, expected, strict=True):
        assert (np.array(text, dtype=np.float32) == vectors).all()


def test_the_number_of_token_vectors_is_limited(serve):
    own = serve(limits=Limits(answered_tokens=8))
    assert len(ask(own, "/embed_all", inputs=["the cat", "a dog"])) == 2
    answer = own.client.post("/embed_all", json={"inputs": ["the cat", "a dog sat"]})
    assert answer.status_code == 400
    assert "The texts have 9 tokens, but one response has vectors for at most 8" in answer.json()["error"]


@pytest.fixture(scope="module")
def sparse_embedder(sparse_model):
    return SparseEmbedder(sparse_model, on_truncation="cut")


def entries(vectors):
    """Sparse vectors as ``/embed_sparse`` gives them."""
    return [
        [{"index": int(index), "value": float(row[index])} for index in np.flatnonzero(row)]
        for row in vectors.to_dense()
    ]


def test_embed_sparse_gives_the_numbers_of_the_library_that_are_not_zero(sparse_server, sparse_embedder):
    expected = entries(sparse_embedder.embed_documents(TEXTS))
    assert ask(sparse_server, "/embed_sparse", inputs=TEXTS) == expected
    assert ask(sparse_server, "/embed_sparse", inputs=TEXTS[1]) == [expected[1]]
    assert 0 < len(expected[0]) < sparse_embedder.dimensions


def test_embed_sparse_takes_a_prompt_and_token_ids_and_keeps_the_largest_numbers(sparse_server, sparse_embedder):
    found = ask(sparse_server, "/embed_sparse", inputs=TEXTS, prompt_name="query", max_active_dims=3)
    assert found == entries(sparse_embedder.embed_documents(TEXTS, prompt_name="query", max_active_dims=3))
    tokens = sparse_embedder.tokenizer.tokenize(TEXTS)[0]
    ids = [part.tolist() for part in np.split(tokens.ids, tokens.offsets[1:-1])]
    assert ask(sparse_server, "/embed_sparse", inputs=ids) == ask(sparse_server, "/embed_sparse", inputs=TEXTS)


def test_embed_sparse_refuses_or_cuts_long_texts(sparse_server, sparse_embedder):
    body = {"inputs": ["a dog", "the cat " * 30]}
    refused = sparse_server.client.post("/embed_sparse", json=body)
    assert refused.status_code == 400
    assert refused.json()["error_type"] == "Validation"
    assert 'send "truncate": true' in refused.json()["error"]
    cut = sparse_server.client.post("/embed_sparse", json=body | {"truncate": True})
    assert cut.json() == entries(sparse_embedder.embed_documents(body["inputs"]))
    assert cut.headers["x-pellucid-truncated"].startswith("texts=1")


def test_many_sparse_vectors_of_concurrent_requests_are_those_of_the_library(sparse_server, sparse_embedder):
    """Requests share calls of the engine, and long answers are written in a thread, piece by piece."""
    lists = [[f"the cat sat {number} {copy}" for number in range(2000)] for copy in range(3)]
    expected = [entries(sparse_embedder.embed_documents(texts)) for texts in lists]
    assert sum(map(len, expected[0])) > 30_000
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda texts: ask(sparse_server, "/embed_sparse", inputs=texts), lists)) == expected


def test_the_memory_of_sparse_vectors_is_limited(serve, sparse_model):
    own = serve(sparse_model, limits=Limits(request_bytes=1_000_000))
    answer = own.client.post("/embed_sparse", json={"inputs": ["the cat"] * 2000})
    assert answer.status_code == 413
    assert len(ask(own, "/embed_sparse", inputs=["the cat"] * 2000, max_active_dims=1)) == 2000


def test_a_sparse_vector_that_is_not_finite_is_refused(serve, sparse_model, tmp_path):
    shutil.copytree(sparse_model, tmp_path / "m")
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    tensors["cls.predictions.transform.LayerNorm.weight"][:] = 3e38
    save_file(tensors, tmp_path / "m" / "model.safetensors")
    answer = serve(str(tmp_path / "m")).client.post("/embed_sparse", json={"inputs": ["a", "the cat"]})
    assert answer.status_code == 500
    assert "gives text 0 a weight that is not finite" in answer.json()["error"]


def test_info_describes_a_sparse_embedder(sparse_server, sparse_embedder):
    info = sparse_server.client.get("/info").json()
    assert info["model_type"] == {"embedding": {"pooling": "splade"}}
    assert info["dimensions"] == sparse_embedder.dimensions
    assert info["auto_truncate"] is False


def test_info_of_a_masked_language_model_without_stages(serve, sparse_model, tmp_path):
    shutil.copytree(sparse_model, tmp_path / "m")
    (tmp_path / "m" / "modules.json").unlink()
    info = serve(str(tmp_path / "m")).client.get("/info").json()
    assert info["model_type"] == {"embedding": {"pooling": "splade"}}


def test_similarity_is_the_cosine(server, embedder):
    vectors = embedder.embed_documents(TEXTS, normalize=True)
    found = ask(server, "/similarity", inputs={"source_sentence": TEXTS[0], "sentences": TEXTS[1:]})
    assert found == pytest.approx((vectors[1:] @ vectors[0]).tolist(), abs=1e-6)


def test_tokenize_and_decode(server, embedder):
    (tokens,) = ask(server, "/tokenize", inputs="the cat")
    assert [token["id"] for token in tokens] == embedder.tokenizer.tokenize(["the cat"])[0].ids.tolist()
    assert [token["special"] for token in tokens] == [True, False, False, True]
    assert ["the cat"[token["start"] : token["stop"]] for token in tokens[1:-1]] == ["the", "cat"]
    (plain,) = ask(server, "/tokenize", inputs=["the cat"], add_special_tokens=False)
    assert plain == tokens[1:-1]
    ids = [token["id"] for token in tokens]
    assert ask(server, "/decode", ids=ids) == ["the cat"]
    assert "[CLS]" in ask(server, "/decode", ids=[ids], skip_special_tokens=False)[0]


def test_info_says_what_is_served(server, embedder):
    info = server.client.get("/info").json()
    assert info["model_id"] == "tiny"
    assert info["max_input_length"] == embedder.max_tokens
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/embed", {"inputs": []}, "empty"),
        ("/embed", {"inputs": "a", "truncation_direction": "left"}, "must be 'Right'"),
        ("/embed", {"inputs": "a", "dimensions": 99}, "more than the model's"),
        ("/embed_all", {"inputs": 3}, "Must be"),
        ("/embed_sparse", {"inputs": "a", "max_active_dims": 0}, "max_active_dims: Must be at least 1."),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, "at least 1"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"], "more": 1}}, "Unknown key 'more'"),
        ("/tokenize", {"inputs": ["a"] * 3000}, "too many"),
        ("/decode", {"ids": [10**6]}, "List 0 has the token id 1000000, but this model's ids are 0 to"),
        ("/decode", {"ids": []}, "at least 1"),
        ("/decode", {"ids": ["a"]}, "ids.0: Must be a list of token ids, or a list of such lists."),
        ("/tokenize", {"inputs": 3}, "inputs: Must be a text, or a list of texts."),
        ("/embed", {"inputs": "a", "normalize": 1}, "normalize: Must be true or false."),
        ("/decode", {"ids": [[5]] * 3000}, "too many"),
    ],
)
def test_errors_have_the_shape_that_tei_clients_expect(server, path, body, words):
    answer = server.client.post(path, json=body)
    assert answer.status_code == 400
    assert answer.json()["error_type"] == "Validation"
    assert words in answer.json()["error"]


@pytest.fixture(scope="module")
def classifier(classifier_model):
    return Classifier(classifier_model, on_truncation="cut")


def predictions(classifier, scores):
    return sorted(
        ({"label": label, "score": score} for label, score in zip(classifier.labels, scores.tolist(), strict=True)),
        key=lambda each: -each["score"],
    )


@pytest.mark.parametrize("item", ["the cat", ["the cat"], ["the cat", "a dog"]])
def test_predict_classifies_a_text_or_a_pair(scoring_server, classifier, item):
    given = [item] if isinstance(item, str) else [item[0] if len(item) == 1 else tuple(item)]
    assert ask(scoring_server, "/predict", inputs=item) == predictions(classifier, classifier.probabilities(given)[0])
    raw = ask(scoring_server, "/predict", inputs=item, raw_scores=True)
    assert raw == predictions(classifier, classifier.logits(given)[0])


def test_predict_classifies_texts_and_pairs_together_in_their_order(scoring_server, classifier):
    found = ask(scoring_server, "/predict", inputs=[["the cat", "a dog"], ["a bird"], ["", "the mat"], ["a dog"]])
    pairs = classifier.probabilities([("the cat", "a dog"), ("", "the mat")])
    alone = classifier.probabilities(["a bird", "a dog"])
    assert found == [predictions(classifier, scores) for scores in (pairs[0], alone[0], pairs[1], alone[1])]


def test_predict_of_a_reranker_gives_its_score_between_0_and_1(scoring_server, reranker_model):
    (found,) = ask(scoring_server, "/predict", inputs=["the cat", "a dog"], model="reranker")
    assert found["label"] == "label 0"
    assert found["score"] == Reranker(reranker_model, activation="sigmoid").score("the cat", ["a dog"])[0]


def test_predict_cuts_long_texts_unless_it_is_told_not_to(scoring_server, classifier):
    body = {"inputs": [["a"], ["the cat " * 30]]}
    answer = scoring_server.client.post("/predict", json=body)
    assert answer.json()[1] == predictions(classifier, classifier.probabilities(["the cat " * 30])[0])
    assert answer.headers["x-pellucid-truncated"].startswith("texts=1")
    refused = scoring_server.client.post("/predict", json=body | {"truncate": False})
    assert refused.status_code == 400
    assert "the first is text 1" in refused.json()["error"]


def test_predict_takes_the_parameters_of_huggingface_hub(scoring_server, classifier):
    ((best,),) = ask(scoring_server, "/predict", inputs="a", parameters={"top_k": 1, "function_to_apply": "none"})
    assert best == predictions(classifier, classifier.logits(["a"])[0])[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": ""}, "Text 0 is empty"),
        ({"inputs": [["a"], ["", ""]]}, "Text 1 is empty"),
        ({"inputs": []}, "inputs: Must be a text, a pair of texts, or a list whose entries"),
        ({"inputs": ["a", "b", "c"]}, "inputs.0: Must be a text, a pair of texts, or a list whose entries"),
        ({"inputs": [["a"], ["a", "b", "c"]]}, "inputs.1: Must be a text, a pair of texts, or a list whose entries"),
        ({"inputs": [["a"]] * 3000}, "too many"),
        ({"inputs": "a", "truncation_direction": "left"}, "must be 'Right'"),
        (
            {"inputs": "a", "raw_scores": True, "parameters": {"function_to_apply": "sigmoid"}},
            'Send "raw_scores": true or function_to_apply, not both',
        ),
    ],
)
def test_errors_of_predict(scoring_server, body, words):
    answer = scoring_server.client.post("/predict", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


@pytest.mark.parametrize(("name", "labels"), [("reranker", 1), ("classifier", 3)])
def test_info_has_the_labels_of_a_model_that_scores(serve, reranker_model, classifier_model, name, labels):
    info = serve({"reranker": reranker_model, "classifier": classifier_model}[name]).client.get("/info").json()
    names = {str(number): f"label {number}" for number in range(labels)}
    assert info["model_type"] == {name: {"id2label": names, "label2id": {v: int(k) for k, v in names.items()}}}
    assert info["dimensions"] is None
    assert info["auto_truncate"] is True
