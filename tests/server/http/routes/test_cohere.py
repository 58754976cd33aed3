from __future__ import annotations

import base64

import numpy as np
import pytest

TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]
LONG = "cat " * 100


def post(server, path="/v2/embed", **body):
    return server.client.post(path, json=body)


def test_version_1_gives_a_list(server, embedder):
    answer = post(server, "/v1/embed", texts=TEXTS, model="tiny", input_type="search_document").json()
    assert (np.array(answer["embeddings"], dtype=np.float32) == embedder.embed_documents(TEXTS)).all()
    assert (answer["texts"], answer["response_type"]) == (TEXTS, "embeddings_floats")
    assert answer["meta"]["api_version"] == {"version": "1"}


@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
def test_types_give_an_object(server, embedder, path):
    types = ["float", "binary", "ubinary", "base64"]
    answer = post(server, path, texts=TEXTS, embedding_types=types).json()
    vectors = embedder.embed_documents(TEXTS)
    assert (np.array(answer["embeddings"]["float"], dtype=np.float32) == vectors).all()
    assert answer["embeddings"]["ubinary"] == np.packbits(vectors > 0, axis=-1).tolist()
    assert answer["embeddings"]["binary"] == (np.packbits(vectors > 0, axis=-1).astype(int) - 128).tolist()
    decoded = [np.frombuffer(base64.b64decode(each), dtype="<f4") for each in answer["embeddings"]["base64"]]
    assert (np.stack(decoded) == vectors).all()
    assert list(answer["embeddings"]) == types
    assert answer["meta"]["billed_units"] == {"input_tokens": int(embedder.count_tokens(TEXTS).sum())}


def test_version_2_gives_floats_by_default_and_takes_inputs(server, embedder):
    inputs = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    assert post(server, inputs=inputs * 200).status_code == 200
    answer = post(server, inputs=inputs, input_type="search_query", output_dimension=3).json()
    expected = embedder.embed_documents(TEXTS, prompt_name="query", truncate_dim=3, normalize=True)
    assert (np.array(answer["embeddings"]["float"], dtype=np.float32) == expected).all()
    assert answer["response_type"] == "embeddings_by_type"


def test_long_texts_are_cut_or_refused(server):
    assert post(server, texts=[LONG]).headers["x-pellucid-truncated"].startswith("texts=1, ")
    assert post(server, texts=[LONG], truncate="NONE").status_code == 400
    assert "cuts texts at their end" in post(server, texts=[LONG], truncate="START").text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Send either texts or inputs."),
        ({"texts": ["a"], "inputs": []}, "Send either texts or inputs."),
        ({"texts": ["a"], "embedding_types": ["int8"]}, "needs the ranges of all vectors"),
        ({"texts": ["a"], "embedding_types": ["int4"]}, "embedding_types"),
        ({"texts": []}, "there is no text to embed"),
        ({"texts": ["a"], "embedding_types": ["float"] * 7}, "at most 6"),
        ({"texts": ["a"], "max_tokens": 9}, "Unknown key 'max_tokens'"),
        ({"inputs": [{"content": [{"type": "image_url", "text": "a"}]}]}, "Must be 'text'"),
    ],
)
def test_what_is_wrong_is_said_where_cohere_says_it(server, body, said):
    answer = post(server, **body)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert answer.json()["error"]["message"] == answer.json()["message"]
