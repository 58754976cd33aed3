from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.explain import contents
from pellucid.explain import trace as traces
from tests import tiny
from tests.explain.test_packing import unpacked
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
        np.testing.assert_allclose(unpacked(packed), layer.arrays["attention"], rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(unpacked(told["vector"]), trace.vector, rtol=0, atol=0.51e-6)
    np.testing.assert_allclose(unpacked(told["drift"]), trace.drift(), rtol=0, atol=0.51e-4)
    np.testing.assert_allclose(unpacked(told["shares"]), trace.shares, rtol=0, atol=0.51e-6)


def test_attention_takes_the_room_that_there_is_and_says_what_is_left_out(embedder):
    trace = embedder.trace("the cat sat on the mat " * 4)
    whole = sum(len(packed["data"]) for packed in contents.of_trace(trace)["attention"]["maps"])
    for room in (whole, whole - 1, 2 * whole // 3, whole // 3, whole // 6, 100):
        told = contents.of_trace(trace, room)["attention"]
        size = sum(len(packed["data"]) for packed in told["maps"])
        # The mean of the last layer is always there.
        assert size <= room or len(told["maps"]) == 1
        decimals = {packed["decimals"] for packed in told["maps"]}
        assert decimals in ({3}, {4})
        means = np.stack([layer.arrays["attention"] for layer in trace.layers[-len(told["maps"]) :]])
        if told["heads"]:
            assert told["note"] == ""
        else:
            assert f"{LAYERS} layers have {HEADS} heads each: {LAYERS * HEADS} maps of 24 × 24" in told["note"]
            assert ("in the last layer alone" in told["note"]) == (len(told["maps"]) < LAYERS)
            means = means.mean(axis=1, keepdims=True)
        expected = pytest.approx(means, abs=0.51e-3)
        assert np.stack([unpacked(packed) for packed in told["maps"]]) == expected
    assert told["layers"] == [LAYERS]


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
    assert told["attention"]["maps"][0]["shape"] == [HEADS, 5, 5]
    told = contents.of_comparison(embedder.compare("cat " * 10, "the"))
    assert (told["pairs"]["shape"], told["count"]) == ([5, 3], 12 * 3)
    assert [len(side["tokens"]) for side in told["sides"]] == [5, 3]


def test_of_a_very_long_text_the_start_is_shown(embedder):
    told = contents.of_trace(embedder.trace("z" * 30_000))
    assert told["text"].endswith("z … and 10,000 characters more, which this page leaves out.")
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
