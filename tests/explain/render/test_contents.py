from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.explain import trace as traces
from pellucid.explain.render import contents
from pellucid.explain.text_map import TextMap, text_map
from tests import tiny
from tests.explain.render.test_packing import unpacked
from tests.tiny_families import HEADS, LAYERS


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


def test_a_short_text_is_complete(embedder):
    trace = embedder.trace("the cat sat")
    data = contents.trace_data(trace)
    assert [token["piece"] for token in data["tokens"]] == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    assert [token["source"] for token in data["tokens"]] == ["", "the", "cat", "sat", ""]
    assert (data["attention"]["heads"], data["attention"]["note"]) == (HEADS, "")
    assert data["attention"]["layers"] == list(range(1, LAYERS + 1))
    for layer, packed in zip(trace.layers, data["attention"]["maps"], strict=True):
        maps, attention = unpacked(packed), layer.arrays["attention"]
        np.testing.assert_allclose(maps[0], attention.mean(axis=0), rtol=0, atol=0.51e-4)
        np.testing.assert_allclose(maps[1:], attention, rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(unpacked(data["vector"]), trace.vector, rtol=0, atol=0.51e-6)
    np.testing.assert_allclose(unpacked(data["drift"]), trace.drift(), rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(unpacked(data["shares"]), trace.shares, rtol=0, atol=0.51e-6)


def test_attention_fits_the_size_limit_and_a_note_says_what_is_left_out(embedder):
    trace = embedder.trace("the cat sat on the mat " * 4)
    data = contents.trace_data(trace)
    whole_size = len(json.dumps(data))
    details = []
    for max_characters in range(whole_size, whole_size // 8, -500):
        data = contents.trace_data(trace, max_characters)
        attention = data["attention"]
        assert len(json.dumps(data)) <= max_characters + 500 or attention["layers"] == [
            LAYERS
        ]  # 500: brackets and notes
        (decimals,) = {packed["decimals"] for packed in attention["maps"]}
        detail = (attention["heads"], len(attention["maps"]), decimals)
        details += [detail] if detail not in details else []
        assert ("rounded to three decimals" in attention["note"]) == (decimals == 3)
        left_out = f"{LAYERS} layers have {HEADS} heads each: {LAYERS * HEADS} maps of 24 × 24" in attention["note"]
        assert left_out == (attention["heads"] == 0)
        for number, packed in zip(attention["layers"], attention["maps"], strict=True):
            expected = trace.stage(f"layer {number}").arrays["attention"].mean(axis=0)
            np.testing.assert_allclose(unpacked(packed)[0], expected, rtol=0, atol=0.51 * 10**-decimals)
    assert details == [(HEADS, LAYERS, 4), (HEADS, LAYERS, 3), (0, LAYERS, 4), (0, LAYERS, 3), (0, 1, 3)]


def test_a_note_says_that_the_trace_has_left_out_attention(embedder, monkeypatch):
    monkeypatch.setattr(traces, "MAX_ATTENTION_BYTES", 100)
    data = contents.trace_data(embedder.trace("the cat"))
    assert data["attention"] is None
    assert "is left out" in data["left_out"]


def test_the_first_of_many_tokens_are_shown_and_all_are_counted(embedder, monkeypatch):
    monkeypatch.setattr(contents, "MAX_TOKENS", 5)
    monkeypatch.setattr(contents, "MAX_CUT_TOKENS", 2)
    data = contents.trace_data(embedder.trace("cat " * 100))
    assert (len(data["tokens"]), data["count"]) == (5, tiny.MAX_TOKENS)
    assert (len(data["cut"]), data["cut_count"]) == (2, 100 - tiny.MAX_TOKENS + 2)
    assert data["embedding"]["shape"][0] == data["shares"]["shape"][0] == data["drift"]["shape"][1] == 5
    assert data["attention"]["maps"][0]["shape"] == [1 + HEADS, 5, 5]
    data = contents.comparison_data(embedder.compare("cat " * 10, "the"))
    assert (data["pairs"]["shape"], data["count"]) == ([5, 3], 12 * 3)
    assert [len(side["tokens"]) for side in data["sides"]] == [5, 3]


def test_the_start_of_a_very_long_text_is_shown(embedder):
    data = contents.trace_data(embedder.trace("z" * 30_000))
    assert data["text"].endswith("z … and 20,000 more characters, which this page leaves out.")
    assert len(json.dumps(data)) < 100_000


def test_a_text_without_tokens(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    stored = json.loads((folder / "tokenizer.json").read_text())
    tiny.write_json(folder / "tokenizer.json", stored | {"post_processor": None})
    data = contents.trace_data(Embedder(folder).trace(""))
    assert (data["tokens"], data["embedding"], data["attention"]) == ([], None, None)


def test_a_comparison_without_pairs_has_its_reason(tmp_path):
    folder = tiny.write_model(tmp_path / "m", pooling={"pooling_mode_cls_token": True})
    comparison = Embedder(folder).compare("the cat", "a dog")
    data = contents.comparison_data(comparison)
    assert (data["pairs"], data["word_pairs"]) == (None, [])
    assert "cls pooling" in data["why_no_pairs"]
    np.testing.assert_allclose(unpacked(data["sides"][0]["shares"]), comparison.first_shares, rtol=0, atol=0.51e-6)


def test_words_are_spans_of_characters_and_the_frame_has_none(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m", prompts={"query": "query: "}), on_truncation="ignore")
    data = contents.comparison_data(embedder.compare("The matting, sat!", ""))
    side = data["sides"][0]
    assert [side["text"][start:end] for start, end in side["words"]] == ["The", "matting", ",", "sat", "!"]
    words = [(token["source"], word) for token, word in zip(side["tokens"], side["word_of"], strict=True)]
    assert [source for source, word in words if word is None] == ["", "query", ":", ""], "special tokens and the prompt"
    assert "".join(source for source, word in words if word == 1) == "matting"
    assert data["sides"][1]["words"] == []


def test_pairs_of_words_have_their_strongest_pair_of_tokens(embedder):
    comparison = embedder.compare("the cat the Cat sat", "a matting cat")
    data = contents.comparison_data(comparison)
    assert data["sentence"] == comparison.sentence
    assert data["word_pairs"][0][2] == max(pair[2] for pair in data["word_pairs"])
    (pair,) = [pair for pair in data["word_pairs"] if pair[:2] == ["cat", "cat"]]
    column = [token.piece for token in comparison.second.tokens].index("cat")
    assert pair[2] == pytest.approx(comparison.pairs[2, column] + comparison.pairs[4, column], abs=1e-6)
    assert (pair[3], pair[4]) == (2 if comparison.pairs[2, column] >= comparison.pairs[4, column] else 4, column)


def test_very_long_words_and_texts_that_the_page_leaves_out_have_their_place(embedder, monkeypatch):
    monkeypatch.setattr(contents, "MAX_TOKENS", 3)
    data = contents.comparison_data(embedder.compare("z" * 500 + " cat cat cat", "the dog"))
    assert [len(side["word_of"]) for side in data["sides"]] == [3, 3]
    assert data["sides"][0]["words"] == [[0, 500], [501, 504]]
    assert all(len(word) <= 31 for pair in data["word_pairs"] for word in pair[:2])


def test_a_map_is_sorted_by_label_and_long_texts_are_shortened(embedder):
    texts = ["the cat", "z" * 500, "a dog", "the cat sat"]
    found = text_map(embedder.encoder, texts, labels=["b", "a", "b", "a"])
    data = contents.map_data(found)
    order = found.order()
    assert (data["labels"], data["counts"]) == (["a", "b"], [2, 2])
    assert [text[:300] for text in data["texts"]] == [texts[place][:300] for place in order]
    assert max(len(text) for text in data["texts"]) == 301
    np.testing.assert_allclose(unpacked(data["plane"]), found.plane[order], rtol=0, atol=0.51e-5)
    similarity = found.similarity[order][:, order]
    np.testing.assert_allclose(unpacked(data["similarity"]), similarity, rtol=0, atol=0.51e-3)


def test_many_long_texts_and_labels_are_shortened_until_they_fit():
    n = 20_000
    text_map = TextMap(
        model_name="m",
        texts=tuple(f"{number} " + "文" * 400 for number in range(n)),
        plane=np.random.default_rng(0).normal(size=(n, 2)),
        labels=tuple(f"label {number} " + "z" * 90 for number in range(n)),
        clustered=False,
        method="pca",
        explained_variance=0.5,
        similarity=None,
        cut=frozenset(range(0, n, 2)),
        max_tokens=256,
    )
    data = contents.map_data(text_map)
    assert len(json.dumps(data)) < contents.MAX_CHARACTERS
    assert len(data["texts"]) == len(data["labels"]) == n
    assert max(len(text) for text in data["texts"]) == data["max_characters"] + 1
    assert unpacked(data["cut"]).sum() == n / 2
