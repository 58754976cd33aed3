from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file, save_file

from pellucid import MultiVectorEmbedder, SparseEmbedder
from pellucid.errors import UnsupportedModelError
from pellucid.explain import score
from pellucid.explain.leave_out import MAX_PRODUCTS
from pellucid.explain.render import contents
from pellucid.reranker import Reranker
from pellucid.server.http import views
from pellucid.server.settings import Limits
from tests import tiny


def ask(server, path, **body):
    answer = server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_trace_is_that_of_the_library(server, embedder):
    assert ask(server, "/trace", input="the cat") == json.loads(embedder.trace("the cat").to_json(arrays=False))
    whole = ask(server, "/trace?arrays=true", input="the cat")
    assert whole == json.loads(embedder.trace("the cat").to_json())


def test_a_comparison_is_that_of_the_library(server, embedder):
    found = ask(server, "/compare", inputs=["the cat", "a dog"])
    assert found == json.loads(embedder.compare("the cat", "a dog").to_json())


def test_two_texts_are_explained_by_a_reranker_too(scoring_server, reranker_model):
    asked = {"inputs": ["the cat", "a cat sat"], "model": "reranker"}
    explained = Reranker(reranker_model).explain("the cat", "a cat sat")
    assert ask(scoring_server, "/compare", **asked) == json.loads(explained.to_json(arrays=False))
    assert ask(scoring_server, "/view/compare", **asked) == json.loads(json.dumps(contents.page_data(explained)))


def test_two_texts_are_explained_by_a_sparse_embedder_too(sparse_server, sparse_model):
    asked = {"inputs": ["the cat", "a cat sat"], "model": "splade"}
    explained = SparseEmbedder(sparse_model).explain("the cat", "a cat sat")
    assert ask(sparse_server, "/compare", **asked) == json.loads(explained.to_json())
    assert ask(sparse_server, "/view/compare", **asked) == json.loads(json.dumps(contents.page_data(explained)))
    assert "cosine" in ask(sparse_server, "/compare", inputs=["the cat", "a dog"])  # An embedder comes first.


def test_two_texts_are_explained_by_a_multi_vector_embedder_too(vectors_server, multi_vector_model):
    asked = {"inputs": ["the cat", "a cat sat"], "model": "colbert"}
    explained = MultiVectorEmbedder(multi_vector_model).explain("the cat", "a cat sat")
    assert ask(vectors_server, "/compare", **asked) == json.loads(explained.to_json())
    assert ask(vectors_server, "/view/compare", **asked) == json.loads(json.dumps(contents.page_data(explained)))


def test_vectors_that_do_not_belong_to_tokens_cannot_be_explained(sparse_server, monkeypatch):
    def refuse(self, *_texts, **_options):
        raise UnsupportedModelError(f"{self.files.folder}: the dimensions of its vectors are not tokens.")

    monkeypatch.setattr(SparseEmbedder, "explain", refuse)
    answer = sparse_server.client.post("/compare", json={"inputs": ["the cat", "a dog"], "model": "splade"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_model_kind")
    assert answer.json()["error"]["message"] == ("The vectors of the sparse embedder 'splade' cannot be explained.")


def test_without_a_name_an_embedder_compares_two_texts_and_else_a_reranker(
    serve, scoring_server, model, reranker_model, classifier_model
):
    assert "cosine" in ask(scoring_server, "/compare", inputs=["the cat", "a dog"])
    assert "cosine" in ask(serve(reranker_model, model), "/compare", inputs=["the cat", "a dog"])
    assert "logit" in ask(serve(classifier_model, reranker_model), "/compare", inputs=["the cat", "a dog"])
    own = serve(classifier_model, load="first-use")
    for asked, who in (
        ({}, "This server has no model that can"),
        ({"model": "classifier"}, "The classifier 'classifier' cannot"),
    ):
        answer = own.client.post("/view/compare", json={"inputs": ["the cat", "a dog"], **asked})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == (
            f"{who} explain two texts. Start the server with --model and the name of one that can."
        )
    assert not next(own.serving.models.states()).service  # It was not loaded only to be refused.


def test_a_score_takes_less_work_to_explain_on_the_server_than_in_a_program(serve, reranker_model, monkeypatch):
    asked: list[float] = []
    choose = score.token_limit
    monkeypatch.setattr(score, "token_limit", lambda *given: asked.append(given[-1]) or choose(*given))
    ask(serve(reranker_model), "/compare", inputs=["the cat", "a dog"])
    assert asked == [MAX_PRODUCTS / 8]


def test_a_model_that_gives_no_finite_number_is_named_as_such(serve, tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    save_file({name: array * 1e30 for name, array in weights.items()}, folder / "model.safetensors")
    answer = serve(str(folder)).client.post("/compare", json={"inputs": ["the cat", "a dog"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "vector_not_finite")


def test_the_page_gets_its_views(server, embedder):
    assert ask(server, "/view/trace", input="the cat") == views.trace_view(embedder, "the cat")
    assert ask(server, "/view/compare", inputs=["the cat", "a dog"])["kind"] == "comparison"
    assert ask(server, "/view/map", inputs=["the cat", "a dog", "the mat"])["kind"] == "map"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/trace", {"input": "the cat sat"}), ("/compare", {"inputs": ["cat", "the cat sat"]})],
)
@pytest.mark.parametrize("view", ["", "/view"])
def test_the_length_of_a_text_to_trace_is_limited(serve, path, body, view):
    own = serve(limits=Limits(view_tokens=4))
    answer = own.client.post(view + path, json=body)
    assert answer.status_code == 400
    position = len(body.get("inputs", [0])) - 1
    assert f"ext {position} has 5 tokens, but at most 4 can be shown" in answer.json()["error"]["message"]
    ask(own, "/trace", input="the cat")
    ask(own, "/view/map", inputs=["the cat sat", "cat", "dog"])


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/trace", {"input": 3}, "input"),
        ("/trace", {"input": "a", "prompt_name": "x"}, "no prompt"),
        ("/compare", {"inputs": ["a"]}, "at least 2"),
        ("/view/map", {"inputs": ["a"]}, "at least 2"),
        ("/view/map", {"inputs": ["a"] * 201}, "at most 200"),
        ("/view/trace", {"input": "a" * 1_000_001}, "1,000,001 characters"),
    ],
)
def test_a_wrong_body_gets_a_400_that_helps(server, path, body, words):
    answer = server.client.post(path, json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
