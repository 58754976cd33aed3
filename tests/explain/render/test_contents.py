from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.explain import trace as traces
from pellucid.explain.render import contents
from pellucid.explain.text_map import text_map
from tests import tiny
from tests.explain.render.test_packing import unpacked
from tests.tiny_families import HEADS, LAYERS


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


def test_a_short_text_is_there_whole(embedder):
    trace = embedder.trace("the cat sat")
    told = contents.of_trace(trace)
    assert [token["piece"] for token in told["tokens"]] == ["[CLS]", "the", "cat", "sat", "[SEP]"]
    assert [token["source"] for token in told["tokens"]] == ["", "the", "cat", "sat", ""]
    assert (told["attention"]["heads"], told["attention"]["note"]) == (HEADS, "")
    assert told["attention"]["layers"] == list(range(1, LAYERS + 1))
    for layer, packed in zip(trace.layers, told["attention"]["maps"], strict=True):
        maps, attention = unpacked(packed), layer.arrays["attention"]
        np.testing.assert_allclose(maps[0], attention.mean(axis=0), rtol=0, atol=0.51e-4)
        np.testing.assert_allclose(maps[1:], attention, rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(unpacked(told["vector"]), trace.vector, rtol=0, atol=0.51e-6)
    np.testing.assert_allclose(unpacked(told["drift"]), trace.drift(), rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(unpacked(told["shares"]), trace.shares, rtol=0, atol=0.51e-6)


def test_attention_takes_the_room_that_there_is_and_says_what_is_left_out(embedder):
    trace = embedder.trace("the cat sat on the mat " * 4)
    told = contents.of_trace(trace)
    whole = len(json.dumps(told))
    seen = []
    for room in range(whole, whole // 8, -500):
        told = contents.of_trace(trace, room)
        attention = told["attention"]
        assert len(json.dumps(told)) <= room + 500 or attention["layers"] == [LAYERS]  # 500: brackets and notes
        (decimals,) = {packed["decimals"] for packed in attention["maps"]}
        way = (attention["heads"], len(attention["maps"]), decimals)
        seen += [way] if way not in seen else []
        assert ("rounded to three decimals" in attention["note"]) == (decimals == 3)
        left_out = f"{LAYERS} layers have {HEADS} heads each: {LAYERS * HEADS} maps of 24 × 24" in attention["note"]
        assert left_out == (attention["heads"] == 0)
        for number, packed in zip(attention["layers"], attention["maps"], strict=True):
            expected = trace.stage(f"layer {number}").arrays["attention"].mean(axis=0)
            np.testing.assert_allclose(unpacked(packed)[0], expected, rtol=0, atol=0.51 * 10**-decimals)
    assert seen == [(HEADS, LAYERS, 4), (HEADS, LAYERS, 3), (0, LAYERS, 4), (0, LAYERS, 3), (0, 1, 3)]


def test_attention_that_the_trace_has_left_out_is_said_to_be(embedder, monkeypatch):
    monkeypatch.setattr(traces, "ATTENTION_BYTES", 100)
    told = contents.of_trace(embedder.trace("the cat"))
    assert told["attention"] is None
    assert "is left out" in told["left_out"]


def test_of_many_tokens_the_first_are_shown_and_all_are_counted(embedder, monkeypatch):
    monkeypatch.setattr(contents, "TOKENS", 5)
    monkeypatch.setattr(contents, "_CUT", 2)
    told = contents.of_trace(embedder.trace("cat " * 100))
    assert (len(told["tokens"]), told["count"]) == (5, tiny.MAX_TOKENS)
    assert (len(told["cut"]), told["cut_count"]) == (2, 100 - tiny.MAX_TOKENS + 2)
    assert told["embedding"]["shape"][0] == told["shares"]["shape"][0] == told["drift"]["shape"][1] == 5
    assert told["attention"]["maps"][0]["shape"] == [1 + HEADS, 5, 5]
    told = contents.of_comparison(embedder.compare("cat " * 10, "the"))
    assert (told["pairs"]["shape"], told["count"]) == ([5, 3], 12 * 3)
    assert [len(side["tokens"]) for side in told["sides"]] == [5, 3]


def test_of_a_very_long_text_the_start_is_shown(embedder):
    told = contents.of_trace(embedder.trace("z" * 30_000))
    assert told["text"].endswith("z … and 20,000 characters more, which this page leaves out.")
    assert len(json.dumps(told)) < 100_000


def test_a_text_without_tokens(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    stored = json.loads((folder / "tokenizer.json").read_text())
    tiny.write_json(folder / "tokenizer.json", stored | {"post_processor": None})
    told = contents.of_trace(Embedder(folder).trace(""))
    assert (told["tokens"], told["embedding"], told["attention"]) == ([], None, None)


def test_a_comparison_without_pairs_has_its_reason(tmp_path):
    folder = tiny.write_model(tmp_path / "m", pooling={"pooling_mode_cls_token": True})
    comparison = Embedder(folder).compare("the cat", "a dog")
    told = contents.of_comparison(comparison)
    assert (told["pairs"], told["top"]) == (None, [])
    assert "cls pooling" in told["why_no_pairs"]
    np.testing.assert_allclose(unpacked(told["sides"][0]["shares"]), comparison.first_shares, rtol=0, atol=0.51e-6)


def test_a_map_is_there_group_after_group_with_long_texts_shortened(embedder):
    texts = ["the cat", "z" * 500, "a dog", "the cat sat"]
    found = text_map(embedder.encoder, texts, labels=["b", "a", "b", "a"])
    told = contents.of_map(found)
    order = found.order()
    assert told["labels"] == ["a", "a", "b", "b"]
    assert [text[:300] for text in told["texts"]] == [texts[place][:300] for place in order]
    assert max(len(text) for text in told["texts"]) == 301
    np.testing.assert_allclose(unpacked(told["plane"]), found.plane[order], rtol=0, atol=0.51e-5)
    alike = found.similarity[order][:, order]
    np.testing.assert_allclose(unpacked(told["similarity"]), alike, rtol=0, atol=0.51e-3)
