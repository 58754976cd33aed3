from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import Embedder
from tests import tiny

LINEAR = ["pooling_mode_mean_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens"]


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def embedder(family, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / family
    prompts = {"query": "query: ", "document": "passage: "}
    return Embedder(tiny.write_model(folder, family, prompts=prompts), on_truncation="ignore")


@given(first=st.text(max_size=40), second=st.text(max_size=40) | st.sampled_from(tiny.TEXTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_pairs_sum_to_the_cosine(embedder, first, second):
    found = embedder.compare(first, second)
    expected = cosine(embedder.embed_query(first), embedder.embed_documents([second])[0])
    assert found.cosine == pytest.approx(expected, abs=1e-6)
    assert found.pairs.shape == (len(found.first.tokens), len(found.second.tokens))
    assert found.pairs.sum() == pytest.approx(found.cosine, abs=1e-6)
    np.testing.assert_allclose(found.first_shares, found.pairs.sum(axis=1))
    np.testing.assert_allclose(found.second_shares, found.pairs.sum(axis=0))


@pytest.mark.parametrize("modes", [*([mode] for mode in LINEAR), LINEAR])
@pytest.mark.parametrize(
    "modules", [["Pooling"], ["Pooling", "LayerNorm", "Normalize"], ["Pooling", "Dense", "LayerNorm", "Dense"]]
)
@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_pairs_are_exact_for_every_linear_pooling_and_module(tmp_path, modes, modules, include_prompt, residual):
    pooling = dict.fromkeys(modes, True) | {"include_prompt": include_prompt}
    folder = tiny.write_model(
        tmp_path / "m", pooling=pooling, modules=modules, dense=(8, "linear.Identity"), residual=residual
    )
    embedder = Embedder(folder, on_truncation="ignore")
    for first, second in zip(tiny.TEXTS, reversed(tiny.TEXTS), strict=True):
        found = embedder.compare(first, second, prompt="query: the ")
        vectors = embedder.embed_documents([first, second], prompt="query: the ")
        assert found.pairs.sum() == pytest.approx(cosine(*vectors), abs=1e-6)
        if not include_prompt and modules == ["Pooling"]:
            prompt = [place for place, token in enumerate(found.first.tokens[:4]) if token.end <= len("query: the")]
            assert np.abs(found.pairs[prompt]).max() == 0


@pytest.mark.parametrize(
    ("pooling", "modules", "why"),
    [
        ({"pooling_mode_cls_token": True}, ["Pooling"], "cls pooling uses only the first token's vector"),
        ({"pooling_mode_lasttoken": True}, ["Pooling"], "lasttoken pooling uses only the last token's vector"),
        ({"pooling_mode_max_tokens": True}, ["Pooling", "Normalize"], "max pooling takes each number from one token"),
        ({}, ["Pooling", "Dense"], "a Dense layer with the non-linear activation 'tanh'"),
    ],
)
def test_without_pairs_each_token_is_left_out_in_turn(tmp_path, pooling, modules, why):
    embedder = Embedder(tiny.write_model(tmp_path / "m", pooling=pooling, modules=modules))
    found = embedder.compare("the cat sat", "a dog")
    assert found.pairs is None
    assert why in found.why_no_pairs
    assert found.top() == []
    assert found.first.shares is None
    other = embedder.embed_documents(["a dog"])[0]
    for place, without in ((1, "cat sat"), (2, "the sat"), (3, "the cat")):
        fall = found.cosine - cosine(embedder.embed_query(without), other)
        assert found.first_shares[place] == pytest.approx(fall, abs=2e-6)
    assert found.first_shares[[0, -1]].tolist() == [0, 0]


def tokens_of(traced, word: str) -> list[int]:
    """The positions of the tokens of a word, by the characters that they were made from."""
    start = len(traced.prompt) + traced.text.index(word)
    return [
        index
        for index, token in enumerate(traced.tokens)
        if token.kind != "special" and start < token.end <= start + len(word)
    ]


def test_the_top_pairs_are_words_and_the_largest_comes_first(embedder):
    found = embedder.compare("the cat, sat", "a dog on the mat")
    top = found.top(100)
    shares = {
        (first, second): found.pairs[np.ix_(tokens_of(found.first, first), tokens_of(found.second, second))].sum()
        for first in ("the", "cat", "sat")
        for second in ("a", "dog", "on", "the", "mat")
    }
    assert {(first, second): share for first, second, share in top} == pytest.approx(
        {pair: share for pair, share in shares.items() if share > 0}
    )
    assert [share for _, _, share in top] == sorted((share for _, _, share in top), reverse=True)
    assert found.top(2) == top[:2]


def test_as_a_text_a_comparison_starts_with_its_sentence(embedder):
    found = embedder.compare("the cat sat", "a dog on the mat")
    assert str(found) == f"{found.sentence} The cosine is {found.cosine:.4f}."


def test_a_comparison_is_written_as_json(embedder):
    found = embedder.compare("the cat", "a dog")
    stored = json.loads(found.to_json())
    assert stored["cosine"] == found.cosine
    assert stored["pairs"] == found.pairs.tolist()
    assert stored["second"]["prompt"] == "passage: "
    assert [token["id"] for token in stored["first"]["tokens"]] == [token.id for token in found.first.tokens]


def test_a_given_prompt_applies_to_both_texts(embedder):
    found = embedder.compare("the cat", "the cat", prompt="")
    assert found.first.prompt == found.second.prompt == ""
    assert found.cosine == pytest.approx(1)
