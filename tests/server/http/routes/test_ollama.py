from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder

TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]
LONG = "cat " * 100


def post(server, path="/api/embed", **body):
    return server.client.post(path, json=body)


def test_vectors_are_those_of_the_library_with_unit_length(server, embedder):
    answer = post(server, input=TEXTS, model="tiny", options={"num_ctx": 512}, keep_alive="5m").json()
    expected = embedder.embed_documents(TEXTS, normalize=True)
    assert (np.array(answer["embeddings"], dtype=np.float32) == expected).all()
    assert answer["model"] == "tiny"
    assert answer["prompt_eval_count"] == embedder.count_tokens(TEXTS).sum()
    assert 0 <= answer["load_duration"] <= answer["total_duration"]
    one = post(server, input=TEXTS[1], dimensions=3).json()["embeddings"]
    expected = embedder.embed_documents(TEXTS[1:2], normalize=True, truncate_dim=3)
    assert (np.array(one, dtype=np.float32) == expected).all()


def test_the_older_route_takes_one_text(server, embedder):
    answer = post(server, "/api/embeddings", prompt=TEXTS[0], model="tiny:latest").json()
    assert (np.array(answer["embedding"], dtype=np.float32) == embedder.embed_documents(TEXTS[:1])[0]).all()


@pytest.mark.parametrize("nothing", ["", []])
def test_no_text_gives_no_vector(server, nothing):
    answer = post(server, input=nothing).json()
    assert (answer["model"], answer["embeddings"], answer["prompt_eval_count"]) == ("tiny", [], 0)
    assert post(server, "/api/embeddings", prompt="").json() == {"embedding": []}


def test_long_texts_are_cut_unless_the_client_says_otherwise(server):
    answer = post(server, input=LONG)
    assert answer.status_code == 200
    assert answer.headers["x-pellucid-truncated"].startswith("texts=1, ")
    refused = post(server, input=LONG, truncate=False)
    assert refused.status_code == 400
    assert list(refused.json()) == ["error"]
    assert "longer than the model" in refused.json()["error"]


@pytest.mark.parametrize("keep_alive", [True, [], {}])
def test_how_long_to_keep_a_model_is_a_text_or_a_number(server, keep_alive):
    assert post(server, input="a", keep_alive=keep_alive).status_code == 400
    assert [post(server, input="a", keep_alive=each).status_code for each in ("5m", -1, 0.5, None)] == [200] * 4


def test_an_unknown_model_is_an_error_in_ollamas_shape(server):
    answer = post(server, input="a", model="llama")
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_a_model_may_have_ollamas_tag_in_its_name(serve, model):
    own = serve(model, aliases=(("m:latest", "tiny"),))
    assert post(own, input="the cat", model="m:latest").status_code == 200
    assert post(own, input="the cat", model="tiny:latest").status_code == 200


def test_models_and_aliases_are_listed(serve, model):
    own = serve(model, aliases=(("nomic-embed-text", "tiny"),))
    models = own.client.get("/api/tags").json()["models"]
    assert [each["name"] for each in models] == ["tiny", "nomic-embed-text"]
    assert models[0]["details"]["quantization_level"] == "float32"
    assert post(own, input="the cat", model="nomic-embed-text").json()["model"] == "nomic-embed-text"


def test_a_loaded_model_is_listed_with_what_auto_has_chosen(serve, model):
    (listed,) = serve(model, dtype="auto").client.get("/api/tags").json()["models"]
    assert listed["details"]["quantization_level"] == Embedder(model, dtype="auto").engine.dtype
