from __future__ import annotations

import base64

import numpy as np
import pytest

TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]


def post(server, **body):
    return server.client.post("/v1/embeddings", json=body)


def vectors(answer):
    assert answer.status_code == 200, answer.text
    return np.array([item["embedding"] for item in answer.json()["data"]], dtype=np.float32)


def test_vectors_are_exactly_those_of_the_library(server, embedder):
    expected = embedder.embed_documents(TEXTS)
    assert (vectors(post(server, input=TEXTS)) == expected).all()
    assert (vectors(post(server, input=TEXTS[1])) == expected[1:2]).all()


def test_base64_is_little_endian_float32(server, embedder):
    answer = post(server, input=TEXTS, encoding_format="base64").json()
    found = [np.frombuffer(base64.b64decode(item["embedding"]), dtype="<f4") for item in answer["data"]]
    assert (np.stack(found) == embedder.embed_documents(TEXTS)).all()


def test_null_means_that_a_key_is_absent(server, embedder):
    answer = post(server, input=TEXTS, encoding_format=None, dimensions=None, user=None, prompt_name=None)
    assert (vectors(answer) == embedder.embed_documents(TEXTS)).all()


def test_token_ids_are_embedded_as_they_are(server, embedder):
    ids = [sequence.tolist() for sequence in embedder.tokenizer.tokenize(TEXTS)[0]]
    assert (vectors(post(server, input=ids)) == embedder.embed_documents(TEXTS)).all()
    assert (vectors(post(server, input=ids[0])) == embedder.embed_documents(TEXTS[:1])).all()


def test_vectors_with_fewer_dimensions_have_unit_length_again(server, embedder):
    found = vectors(post(server, input=TEXTS, dimensions=3))
    assert (found == embedder.embed_documents(TEXTS, truncate_dim=3, normalize=True)).all()


def test_the_answer_counts_real_tokens_and_names_the_model(server, embedder):
    answer = post(server, input=TEXTS, model="sentence-transformers/tiny", user="somebody")
    assert answer.status_code == 404
    answer = post(server, input=TEXTS, model="tiny", user="somebody").json()
    tokens = int(embedder.count_tokens(TEXTS).sum())
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer["model"] == "tiny"
    assert [item["index"] for item in answer["data"]] == [0, 1, 2]


def test_a_models_folder_is_never_named_by_its_path(server, model):
    for path, key in (("/v1/embeddings", "input"), ("/embed", "inputs"), ("/trace", "input"), ("/view/trace", "input")):
        answer = server.client.post(path, json={key: "the cat"})
        assert answer.status_code == 200
        assert model not in answer.text
    named = post(server, input="the cat").json()["model"]
    assert named == "tiny"
    assert post(server, input="the cat", model=named).status_code == 200
    for path in ("/info", "/v1/models", "/stats", "/metrics"):
        answer = server.client.get(path)
        assert "tiny" in answer.text
        assert model not in answer.text


def test_prompts_are_the_models_own(server, embedder):
    found = vectors(post(server, input=TEXTS, prompt_name="query"))
    assert (found == embedder.embed_documents(TEXTS, prompt_name="query")).all()


@pytest.mark.parametrize(
    ("input_type", "prompt"),
    [
        ("query", "the cat "),
        ("search_query", "the cat "),
        ("document", ""),
        ("search_document", ""),
        ("passage", ""),
        ("clustering", ""),
        (None, ""),
    ],
)
def test_the_type_of_the_input_chooses_the_prompt(server, embedder, input_type, prompt):
    found = vectors(post(server, input=TEXTS, input_type=input_type))
    assert (found == embedder.embed_documents(TEXTS, prompt=prompt)).all()


def test_only_one_key_may_choose_the_prompt(server):
    answer = post(server, input=TEXTS, input_type="query", prompt_name="query")
    assert (answer.status_code, "Send either prompt_name or input_type" in answer.text) == (400, True)
    answer = post(server, input=[1, 2], input_type="query")
    assert (answer.status_code, "Send input_type only with texts" in answer.text) == (400, True)


def test_voyages_names_of_keys(server, embedder):
    answer = post(server, input=["cat " * 100], truncation=True, output_dimension=3, output_dtype="float")
    assert (vectors(answer) == embedder.embed_documents(["cat " * 100], truncate_dim=3, normalize=True)).all()
    assert post(server, input=["cat " * 100], truncation=False).status_code == 400


@pytest.mark.parametrize("path", ["/embeddings", "/openai/deployments/tiny/embeddings?api-version=2024-10-21"])
def test_other_paths_give_the_same_answer(server, path):
    answer = server.client.post(path, json={"input": TEXTS, "model": "tiny"})
    assert answer.json() == post(server, input=TEXTS, model="tiny").json()


def test_a_path_of_azure_names_the_model(server):
    answer = server.client.post("/openai/deployments/other/embeddings", json={"input": TEXTS, "model": "tiny"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    answer = server.client.post("/openai/deployments/tiny/embeddings", content="{}", headers={"content-type": "a/b"})
    assert answer.status_code == 415


def test_unknown_keys_are_ignored_only_if_they_are_null(server, embedder):
    answer = post(server, input=TEXTS, late_chunking=None, task=None)
    assert (vectors(answer) == embedder.embed_documents(TEXTS)).all()
    answer = post(server, input=TEXTS, late_chunking=None, task="x")
    assert (answer.status_code, "Unknown key 'task'" in answer.text) == (400, True)


def test_long_texts_are_refused_or_cut_with_a_note(server, embedder):
    long = "cat " * 100
    refused = post(server, input=["cat", long])
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert "the first is text 1" in refused.json()["error"]["message"]
    cut = post(server, input=["cat", long], truncate=True)
    lost = int(embedder.count_tokens([long])[0]) - embedder.max_tokens
    assert cut.headers["x-pellucid-truncated"] == f"texts=1, tokens={lost}"
    assert (vectors(cut) == embedder.embed_documents(["cat", long])).all()


def test_models_are_listed(server):
    (card,) = server.client.get("/v1/models").json()["data"]
    assert card == {"id": "tiny", "object": "model", "created": 0, "owned_by": "this machine", "kind": "embedder"}
    assert server.client.get("/v1/models/tiny").json() == card
    assert server.client.get("/v1/models/other").status_code == 404


WRONG = {
    "no body": (b"", "not JSON"),
    "half a body": (b'{"input": "a', "not JSON"),
    "another type": (b"[1]", "body"),
    "no input": (b'{"model": "tiny"}', "input: This key is missing."),
    "a number": (b'{"input": 3}', "Must be a text, a list of texts"),
    "null": (b'{"input": null}', "input: Must be a text"),
    "a list of nulls": (b'{"input": ["a", null]}', "input.1"),
    "texts and numbers": (b'{"input": ["a", 1]}', "input.1: Must be a text"),
    "numbers and texts": (b'{"input": [1, 2, "a"]}', "input.2: Must be a text"),
    "lists and texts": (b'{"input": [[1], "a"]}', "input.1: Must be a text"),
    "a half id": (b'{"input": [1.5]}', "Must be a text"),
    "a negative id": (b'{"input": [-1]}', "Must be a text"),
    "an id beyond": (b'{"input": [4000000]}', "Text 0 has the token id 4000000, but this model's ids are 0 to"),
    "nothing": (b'{"input": []}', "empty"),
    "no ids": (b'{"input": [[]]}', "input.0: Must be a text"),
    "an empty text": (b'{"input": ""}', "Text 0 is empty"),
    "an empty text among others": (b'{"input": ["a", ""]}', "Text 1 is empty"),
    "a lone surrogate": (b'{"input": "\\ud800"}', "not JSON"),
    "not UTF-8": (b'{"input": "\xff"}', "not JSON"),
    "a long text": (b'{"input": "' + b"a" * 1_100_000 + b'"}', "1,100,000 characters"),
    "many texts": (b'{"input": [' + b'"a",' * 2048 + b'"a"]}', "2,049 texts are too many"),
    "a type": (b'{"input": "a", "encoding_format": "hex"}', "encoding_format"),
    "dimensions": (b'{"input": "a", "dimensions": 0}', "dimensions"),
    "many dimensions": (b'{"input": "a", "dimensions": 4096}', "dimensions: 4,096 is more than the model's"),
    "half a dimension": (b'{"input": "a", "dimensions": 1.5}', "dimensions"),
    "a prompt": (b'{"input": "a", "prompt_name": "other"}', "has no prompt 'other'"),
    "a prompt for ids": (b'{"input": [5], "prompt_name": "query"}', "Token ids are embedded as they are"),
    "a key": (b'{"input": "a", "dimension": 3}', "Unknown key 'dimension'"),
    "not a number": (b'{"input": "a", "dimensions": NaN}', "dimensions"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_body_gets_a_400_that_helps(server, model, case):
    content, words = WRONG[case]
    answer = server.client.post("/v1/embeddings", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert "aaaa" not in error["message"]
    assert model not in answer.text


def test_huge_bodies_are_refused_and_the_server_goes_on(server):
    assert post(server, input="a" * 10_000_000).status_code == 400
    assert post(server, input="a " * 8_500_000).status_code == 413
    assert post(server, input="cat").status_code == 200


def test_an_unknown_model_gets_a_404_that_names_the_served_models(server):
    answer = post(server, input="a", model="text-embedding-3-small")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "It serves 'tiny'" in answer.json()["error"]["message"]
