from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import Embedder, MultiVectorEmbedder, SparseEmbedder
from pellucid.errors import OptionError, TextTypeError, TruncationError
from pellucid.server.http.views import compare_view, map_view, trace_view
from tests import tiny
from tests.explain.render.test_packing import unpacked
from tests.multi_vector_models import write_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = {"query": "the ", "passage": "a "}
    return tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts=prompts)


@pytest.fixture(scope="module")
def embedder(folder):
    return Embedder(folder, on_truncation="ignore")


def test_a_trace_ends_in_the_vector_of_a_query(embedder):
    view = trace_view(embedder, "cat sat")
    assert (view["kind"], view["text"], view["prompt"]) == ("trace", "cat sat", "the ")
    assert [token["piece"] for token in view["tokens"]] == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    np.testing.assert_allclose(unpacked(view["vector"]), embedder.embed_query("cat sat"), rtol=0, atol=3e-6)
    named = trace_view(embedder, "cat sat", "passage")
    assert named["prompt"] == "a "
    np.testing.assert_allclose(
        unpacked(named["vector"]), embedder.embed_query("cat sat", prompt_name="passage"), rtol=0, atol=3e-6
    )


def test_a_comparison_treats_the_texts_as_query_and_document(embedder):
    view = compare_view(embedder, "cat sat", "dog")
    assert [side["prompt"] for side in view["sides"]] == ["the ", "a "]
    cosine = embedder.embed_query("cat sat") @ embedder.embed_documents(["dog"])[0]
    assert view["cosine"] == pytest.approx(cosine, abs=1e-5)
    assert unpacked(view["pairs"]).sum() == pytest.approx(cosine, abs=1e-4)
    assert [side["prompt"] for side in compare_view(embedder, "cat", "dog", "query")["sides"]] == ["the ", "the "]


@pytest.mark.parametrize("kind", ["sparse", "multi-vector"])
def test_a_query_and_a_document_have_a_score_that_is_explained(tmp_path, kind):
    if kind == "sparse":
        task = SparseEmbedder(tiny.write_splade_model(tmp_path / "m", prompts={"query": "the ", "passage": "a "}))
        score = (task.embed_query("cat sat").dot(task.embed_documents(["dog sat"]))).item()
    else:
        task = MultiVectorEmbedder(write_model(tmp_path / "m", prompts={"query": "the ", "passage": "a "}))
        score = task.maxsim("cat sat", ["dog sat"])[0]
    view = compare_view(task, "cat sat", "dog sat")
    assert view["kind"] == {"sparse": "sparse", "multi-vector": "alignment"}[kind]
    assert view["score"] == pytest.approx(score, rel=1e-6)
    assert view["sides"][0]["prompt"] == "the "
    assert compare_view(task, "cat sat", "dog sat", "passage")["sides"][0]["prompt"] == "a "
    assert str(tmp_path) not in json.dumps(view)
    with pytest.raises(TextTypeError, match="text 1"):
        compare_view(task, "a", None)


@settings(max_examples=20)
@given(texts=st.lists(st.sampled_from(["the cat", "a dog", "the mat sat", "", "cat"]), min_size=2, max_size=9))
def test_a_map_has_each_text_once_and_its_cosines_in_the_same_order(embedder, texts):
    view = map_view(embedder, texts)
    assert sorted(view["texts"]) == sorted(texts)
    vectors = embedder.embed_documents(view["texts"])
    np.testing.assert_allclose(unpacked(view["similarity"]), vectors @ vectors.T, rtol=0, atol=0.51e-3)
    assert view["plane"]["shape"] == [len(texts), 2]
    assert view["labels"] == sorted(view["labels"])
    assert sum(view["counts"]) == len(texts)


def test_views_say_what_was_cut(embedder):
    long = "cat " * 60
    assert trace_view(embedder, long)["cut_count"] > 0
    view = map_view(embedder, ["the dog", long, "the mat"])
    assert [text for text, cut in zip(view["texts"], unpacked(view["cut"]), strict=True) if cut] == [long]
    assert view["max_tokens"] == tiny.MAX_TOKENS


def test_views_are_plain_json_without_paths(embedder, folder):
    for view in (
        trace_view(embedder, "the cat"),
        compare_view(embedder, "the cat", "dog"),
        map_view(embedder, ["a cat", "a dog"]),
    ):
        assert json.loads(json.dumps(view, allow_nan=False))["model"] == folder.name
        assert str(folder) not in json.dumps(view)


@pytest.mark.parametrize("count", [2, 200])
def test_a_map_may_have_2_to_200_texts(embedder, count):
    assert len(map_view(embedder, ["the cat"] * count)["texts"]) == count


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: map_view(e, []), OptionError, "at least 2 texts, not 0"),
        (lambda e: map_view(e, ["a cat"]), OptionError, "at least 2 texts, not 1"),
        (lambda e: map_view(e, ["a cat"] * 201), OptionError, "at most 200 texts here, not 201.*--map FILE"),
        (lambda e: map_view(e, "a cat"), TextTypeError, "it must be a list of str"),
        (lambda e: map_view(e, 5), TextTypeError, "it must be a list of str"),
        (lambda e: map_view(e, ["a cat", None]), TextTypeError, "text 1 is of type NoneType"),
        (lambda e: trace_view(e, 5), TextTypeError, "text 0 is of type int"),
        (lambda e: compare_view(e, "a cat", None), TextTypeError, "text 1 is of type NoneType"),
        (lambda e: trace_view(e, "a cat", "answer"), OptionError, "no prompt 'answer'.*'query', 'passage'"),
        (lambda e: compare_view(e, "a", "b", "answer"), OptionError, "no prompt 'answer'"),
    ],
)
def test_wrong_calls_are_refused_with_advice(embedder, call, error, message):
    with pytest.raises(error, match=message):
        call(embedder)


def test_an_embedder_that_refuses_long_texts_refuses_them_in_a_map(folder):
    with pytest.raises(TruncationError):
        map_view(Embedder(folder, on_truncation="error"), ["a cat", "cat " * 60])
