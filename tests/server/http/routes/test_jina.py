from __future__ import annotations

import base64

import numpy as np
import pytest

from pellucid import MultiVectorEmbedder

TEXTS = ["the cat, sat", "a dog"]


@pytest.fixture(scope="module")
def late(multi_vector_model):
    return MultiVectorEmbedder(multi_vector_model, on_truncation="cut")


def ask(server, **body):
    answer = server.client.post("/v1/multi-vector", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("asked", [{}, {"input_type": "document"}, {"input_type": "query"}])
def test_the_body_of_jinas_clients_gets_the_vectors_of_the_library(vectors_server, late, asked):
    found = ask(vectors_server, model="colbert", dimensions=6, embedding_type="float", input=TEXTS, **asked)
    embed = late.embed_queries if asked == {"input_type": "query"} else late.embed_documents
    assert [each["embeddings"] for each in found["data"]] == [vectors.tolist() for vectors in embed(TEXTS)]
    assert [(each["object"], each["index"]) for each in found["data"]] == [("embeddings", 0), ("embeddings", 1)]
    assert (found["object"], found["model"]) == ("list", "colbert")


def test_usage_counts_the_tokens_that_went_through_the_model(vectors_server, late):
    tokens = len(late.tokenizer.tokenize(["the cat"], late.document_prompt)[0].ids)
    assert ask(vectors_server, input="the cat")["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    filled = ask(vectors_server, input="the cat", input_type="query")["usage"]
    assert filled == {"prompt_tokens": 12, "total_tokens": 12}


@pytest.mark.parametrize("key", ["embedding_type", "encoding_format"])
def test_vectors_may_be_in_base64(vectors_server, late, key):
    ((found,),) = [ask(vectors_server, input="the cat", **{key: "base64"})["data"]]
    vectors = [np.frombuffer(base64.b64decode(each), "<f4") for each in found["embeddings"]]
    assert np.array_equal(vectors, late.embed_documents(["the cat"]).vectors)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input": "a", "dimensions": 4}, "Leave out dimensions, or send 6: this server gives all numbers"),
        ({"input": "a", "input_type": "passage"}, "input_type: Must be"),
        ({"input": []}, "The input is empty"),
        ({"input": [""]}, "Text 0 is empty"),
        ({"input": [[1, 2]]}, "input"),
    ],
)
def test_errors_say_what_to_do(vectors_server, body, words):
    answer = vectors_server.client.post("/v1/multi-vector", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
