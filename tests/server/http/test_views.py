from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.errors import OptionError, TextTypeError, TruncationError
from pellucid.server.http.views import compare_view, map_view, trace_view
from tests import tiny
from tests.explain.render.test_packing import unpacked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = {"query": "the ", "passage": "a "}
    return tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts=prompts)


@pytest.fixture(scope="module")
def embedder(folder):
    return Embedder(folder, on_truncation="ignore")


def test_a_trace_ends_in_the_vector_of_a_query(embedder):
    told = trace_view(embedder, "cat sat")
    assert (told["kind"], told["text"], told["prompt"]) == ("trace", "cat sat", "the ")
    assert [token["piece"] for token in told["tokens"]] == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    np.testing.assert_allclose(unpacked(told["vector"]), embedder.embed_query("cat sat"), rtol=0, atol=3e-6)
    named = trace_view(embedder, "cat sat", "passage")
    assert named["prompt"] == "a "
    np.testing.assert_allclose(
        unpacked(named["vector"]), embedder.embed_query("cat sat", prompt_name="passage"), rtol=0, atol=3e-6
    )


def test_a_comparison_is_of_a_query_and_a_document(embedder):
    told = compare_view(embedder, "cat sat", "dog")
    assert [side["prompt"] for side in told["sides"]] == ["the ", "a "]
    cosine = embedder.embed_query("cat sat") @ embedder.embed_documents(["dog"])[0]
    assert told["cosine"] == pytest.approx(cosine, abs=1e-5)
    assert unpacked(told["pairs"]).sum() == pytest.approx(cosine, abs=1e-4)
    assert [side["prompt"] for side in compare_view(embedder, "cat", "dog", "query")["sides"]] == ["the ", "the "]


@settings(max_examples=20)
@given(texts=st.lists(st.sampled_from(["the cat", "a dog", "the mat sat", "", "cat"]), min_size=2, max_size=9))
def test_a_map_has_each_text_once_and_the_cosines_of_its_own_order(embedder, texts):
    told = map_view(embedder, texts)
    assert sorted(told["texts"]) == sorted(texts)
    vectors = embedder.embed_documents(told["texts"])
    np.testing.assert_allclose(unpacked(told["similarity"]), vectors @ vectors.T, rtol=0, atol=0.51e-3)
    assert told["plane"]["shape"] == [len(texts), 2]
    assert told["labels"] == sorted(told["labels"])


def test_what_was_cut_is_said(embedder):
    long = "cat " * 60
    assert trace_view(embedder, long)["cut_count"] > 0
    told = map_view(embedder, ["the dog", long, "the mat"])
    assert [told["texts"][row] for row in told["cut"]] == [long]
    assert told["max_tokens"] == tiny.MAX_TOKENS


def test_views_are_plain_json_without_paths(embedder, folder):
    for told in (
        trace_view(embedder, "the cat"),
        compare_view(embedder, "the cat", "dog"),
        map_view(embedder, ["a cat", "a dog"]),
    ):
        assert json.loads(json.dumps(told, allow_nan=False))["model"] == folder.name
        assert str(folder) not in json.dumps(told)


@pytest.mark.parametrize("count", [2, 200])
def test_a_map_may_have_so_many_texts(embedder, count):
    assert len(map_view(embedder, ["the cat"] * count)["texts"]) == count


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: map_view(e, []), OptionError, "at least 2 texts, and there is none"),
        (lambda e: map_view(e, ["a cat"]), OptionError, "at least 2 texts, and there is 1"),
        (lambda e: map_view(e, ["a cat"] * 201), OptionError, "at most 200 texts here, and there are 201.*--map FILE"),
        (lambda e: map_view(e, "a cat"), TextTypeError, "it must be a list of str"),
        (lambda e: map_view(e, 5), TextTypeError, "it must be a list of str"),
        (lambda e: map_view(e, ["a cat", None]), TextTypeError, "text 1 is of type NoneType"),
        (lambda e: trace_view(e, 5), TextTypeError, "text 0 is of type int"),
        (lambda e: compare_view(e, "a cat", None), TextTypeError, "text 1 is of type NoneType"),
        (lambda e: trace_view(e, "a cat", "answer"), OptionError, "no prompt 'answer'.*'query', 'passage'"),
        (lambda e: compare_view(e, "a", "b", "answer"), OptionError, "no prompt 'answer'"),
    ],
)
def test_wrong_calls_are_refused_and_told_what_to_do(embedder, call, error, message):
    with pytest.raises(error, match=message):
        call(embedder)


def test_an_embedder_that_refuses_long_texts_refuses_them_in_a_map(folder):
    with pytest.raises(TruncationError):
        map_view(Embedder(folder, on_truncation="error"), ["a cat", "cat " * 60])
