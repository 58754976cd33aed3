from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Classifier, Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder
from pellucid.server.settings import Limits
from tests import multi_vector_models

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


@pytest.fixture(scope="module")
def multi_vector_embedder(multi_vector_model):
    return MultiVectorEmbedder(multi_vector_model, on_truncation="cut")


PUNCTUATED = [*TEXTS, ", . !", "the cat " * 30]


@pytest.mark.parametrize(
    "as_query", [{"prompt_name": "query"}, {"input_type": "query"}, {"input_type": "search_query"}]
)
def test_embed_all_gives_the_vectors_of_a_multi_vector_model(vectors_server, multi_vector_embedder, as_query):
    """Those of documents lack punctuation, and queries are filled up. Both are cut at limits of their own."""
    documents = ask(vectors_server, "/embed_all", inputs=PUNCTUATED, model="colbert", truncate=True)
    assert documents == [vectors.tolist() for vectors in multi_vector_embedder.embed_documents(PUNCTUATED)]
    queries = ask(vectors_server, "/embed_all", inputs=PUNCTUATED, model="colbert", truncate=True, **as_query)
    assert queries == [vectors.tolist() for vectors in multi_vector_embedder.embed_queries(PUNCTUATED)]
    assert {len(vectors) for vectors in queries} == {12}
    assert len({len(vectors) for vectors in documents}) > 3


def test_embed_all_gives_a_text_with_nothing_but_skipped_tokens_no_vector(serve, tmp_path):
    skipped = ("[CLS]", "[SEP]", ",")
    own = serve(str(multi_vector_models.write_model(tmp_path / "m", skipped=skipped)))
    empty, both = ask(own, "/embed_all", inputs=[",", ", the cat ,"])
    assert (len(empty), len(both)) == (0, 2)
    assert ask(own, "/embed_all", inputs=", ,") == [[]]


def test_embed_all_takes_token_ids_of_a_multi_vector_model(vectors_server, multi_vector_embedder):
    tokens = multi_vector_embedder.tokenizer.tokenize(TEXTS, multi_vector_embedder.document_prompt)[0]
    ids = [part.tolist() for part in np.split(tokens.ids, tokens.offsets[1:-1])]
    expected = [vectors.tolist() for vectors in multi_vector_embedder.embed_documents(TEXTS)]
    assert ask(vectors_server, "/embed_all", inputs=ids, model="colbert") == expected


@pytest.mark.parametrize("input_type", ["document", "query"])
def test_embed_all_merges_similar_vectors_as_the_model_says(serve, tmp_path, input_type):
    pooling = {"pool_factor": 3, "num_protected_tokens": 1, "pool_tasks": ["document"]}
    folder = multi_vector_models.write_model(tmp_path / "m", pooling=pooling, seed=3)
    task = MultiVectorEmbedder(folder)
    texts = [f"the cat sat {word} on the mat" for word in ("a", "the", "dog , dog", "bird bird")]
    embed = {"document": task.embed_documents, "query": task.embed_queries}[input_type]
    found = ask(serve(str(folder)), "/embed_all", inputs=texts, input_type=input_type)
    assert found == [vectors.tolist() for vectors in embed(texts)]
    tokens = task.tokenizer.tokenize(texts)[0].lengths
    assert ([len(vectors) for vectors in found] < tokens).all() == (input_type == "document")


def test_embed_all_refuses_or_cuts_long_texts_of_a_multi_vector_model(vectors_server):
    body = {"inputs": ["a dog", "the cat " * 30], "model": "colbert"}
    refused = vectors_server.client.post("/embed_all", json=body)
    assert refused.status_code == 400
    assert "longer than the model's 28 tokens (the first is text 1)" in refused.json()["error"]
    cut = vectors_server.client.post("/embed_all", json=body | {"truncate": True})
    assert cut.headers["x-pellucid-truncated"].startswith("texts=1")
    queries = vectors_server.client.post("/embed_all", json=body | {"input_type": "query"})
    assert "longer than the model's 12 tokens" in queries.json()["error"]


def test_what_a_query_is_filled_up_with_counts_as_tokens(serve, multi_vector_model):
    own = serve(multi_vector_model, limits=Limits(answered_tokens=24))
    assert len(ask(own, "/embed_all", inputs=["a", "a"], input_type="query")) == 2
    answer = own.client.post("/embed_all", json={"inputs": ["a", "a", "a"], "input_type": "query"})
    assert answer.status_code == 400
    assert "The texts have 36 tokens, but one response has vectors for at most 24" in answer.json()["error"]


def test_a_vector_of_a_token_that_is_not_finite_is_refused(serve, multi_vector_model, tmp_path):
    shutil.copytree(multi_vector_model, tmp_path / "m")
    save_file({"linear.weight": np.full((6, 16), 3e38, np.float32)}, tmp_path / "m" / "1_Dense" / "model.safetensors")
    answer = serve(str(tmp_path / "m")).client.post("/embed_all", json={"inputs": ["a", "the cat"]})
    assert answer.status_code == 500
    assert "gives text 0 a vector that is not finite" in answer.json()["error"]


def test_info_describes_a_multi_vector_embedder(serve, multi_vector_model):
    info = serve(multi_vector_model).client.get("/info").json()
    assert info["model_type"] == {"embedding": {"pooling": "none"}}
    assert (info["dimensions"], info["max_input_length"], info["auto_truncate"]) == (6, 28, False)


@pytest.mark.parametrize("as_query", [{"prompt_name": "query"}, {"input_type": "query"}])
def test_an_inference_free_model_reads_queries_from_its_table(serve, inference_free_model, as_query):
    own, task = serve(inference_free_model), SparseEmbedder(inference_free_model, on_truncation="cut")
    assert ask(own, "/embed_sparse", inputs=TEXTS) == entries(task.embed_documents(TEXTS))
    expected = [entries(task.embed_query(text))[0] for text in TEXTS]
    assert ask(own, "/embed_sparse", inputs=TEXTS, **as_query) == expected
    assert expected != entries(task.embed_documents(TEXTS))
    few = ask(own, "/embed_sparse", inputs=TEXTS, **as_query, max_active_dims=1)
    assert few == [entries(task.embed_query(text, max_active_dims=1))[0] for text in TEXTS]
    (stats,) = own.client.get("/stats").json()["models"]
    assert (stats["requests"], stats["texts"]) == (3, 3 * len(TEXTS))


def test_many_or_long_queries_of_an_inference_free_model(serve, inference_free_model):
    own, task = serve(inference_free_model), SparseEmbedder(inference_free_model, on_truncation="cut")
    texts = [f"the cat {number} sat on a mat, a dog" for number in range(2000)]
    found = ask(own, "/embed_sparse", inputs=texts, prompt_name="query", truncate=True)
    assert found == [entries(task.embed_query(text))[0] for text in texts]
    long = {"inputs": ["a", "the cat " * 300], "prompt_name": "query"}
    refused = own.client.post("/embed_sparse", json=long)
    assert refused.status_code == 400
    assert "longer than the model's 512 tokens (the first is text 1)" in refused.json()["error"]
    cut = own.client.post("/embed_sparse", json=long | {"truncate": True})
    assert cut.json()[1] == entries(task.embed_query(long["inputs"][1]))[0]
    assert cut.headers["x-pellucid-truncated"] == "texts=1, tokens=88"


@pytest.mark.parametrize("as_query", [{"prompt_name": "query"}, {"input_type": "query"}])
def test_a_model_with_two_encoders_reads_queries_with_that_for_queries(serve, asymmetric_model, as_query):
    own, task = serve(asymmetric_model), Embedder(asymmetric_model)
    assert ask(own, "/embed", inputs=TEXTS, normalize=None) == task.embed_documents(TEXTS).tolist()
    queries = [task.embed_query(text).tolist() for text in TEXTS]
    assert ask(own, "/embed", inputs=TEXTS, normalize=None, **as_query) == queries
    assert queries != task.embed_documents(TEXTS).tolist()
    tokens = task.for_queries.tokenizer.tokenize(TEXTS)[0]
    expected = np.split(task.for_queries.engine.token_vectors(tokens), tokens.offsets[1:-1])
    assert ask(own, "/embed_all", inputs=TEXTS, **as_query) == [vectors.tolist() for vectors in expected]


def test_prompt_name_and_input_type_exclude_each_other(server):
    answer = server.client.post("/embed", json={"inputs": "a", "prompt_name": "query", "input_type": "query"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "Send either prompt_name or input_type. Both choose a prompt."


@pytest.mark.parametrize("name", ["query", "document", "passage"])
def test_a_model_that_reads_queries_apart_needs_no_prompts_to_be_told_what_texts_are(
    serve, inference_free_model, sparse_model, name
):
    """Another one refuses the name of a prompt that it lacks."""
    own = serve(inference_free_model, sparse_model)
    statuses = [
        own.client.post("/embed_sparse", json={"inputs": "a", "prompt_name": name, "model": model}).status_code
        for model in ("inference-free", "splade")
    ]
    assert statuses == {"query": [200, 200], "document": [200, 400], "passage": [400, 400]}[name]


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
    assert info["model_dtype"] == "float32"


def test_info_says_what_auto_has_chosen(serve, model):
    info = serve(model, dtype="auto").client.get("/info").json()
    assert info["model_dtype"] == Embedder(model, dtype="auto").engine.dtype


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
