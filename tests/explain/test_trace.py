from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.errors import OptionError
from pellucid.explain import trace as traces
from tests import tiny
from tests.tiny_families import LAYERS

POOLINGS = [
    "pooling_mode_cls_token",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
]
HEADS = [["Pooling"], ["Pooling", "Normalize"], ["Pooling", "Dense", "LayerNorm", "Normalize"]]


@pytest.fixture(scope="module")
def embedder(family, tmp_path_factory):
    folder = tiny.write_model(tmp_path_factory.mktemp("models") / family, family, prompts={"query": "query: "})
    return Embedder(folder, on_truncation="ignore")


@given(text=st.text(max_size=60) | st.sampled_from(tiny.TEXTS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_vector_equals_the_result_of_embed_query(embedder, text):
    trace = embedder.trace(text)
    np.testing.assert_allclose(trace.vector, embedder.embed_query(text), rtol=0, atol=2e-6)
    assert trace.shares.sum() == pytest.approx(1)
    assert trace.stage("tokens").arrays["ids"].tolist() == [token.id for token in trace.tokens]


@pytest.mark.parametrize("modes", [*([mode] for mode in POOLINGS), POOLINGS[:4], POOLINGS])
@pytest.mark.parametrize("modules", HEADS, ids="-".join)
def test_every_pooling_and_head_is_traced(tmp_path, modes, modules):
    folder = tiny.write_model(tmp_path / "m", pooling=dict.fromkeys(modes, True), modules=modules)
    embedder = Embedder(folder, on_truncation="ignore")
    for text in tiny.TEXTS:
        trace = embedder.trace(text)
        expected = embedder.embed_query(text)
        scale = max(1.0, float(np.linalg.norm(expected)))  # Without Normalize, vectors are of any length.
        np.testing.assert_allclose(trace.vector / scale, expected / scale, rtol=0, atol=2e-6)
        assert [stage.name for stage in trace.stages[-len(modules) :]] == [
            *("pooling" if module == "Pooling" else module.lower() for module in modules),
            "vector",
        ][-len(modules) :]


def test_stages_are_in_order_and_have_their_arrays(embedder):
    trace = embedder.trace("the cat sat")
    n, spec = len(trace.tokens), embedder.spec.encoder
    final = ["final norm"] if spec.final_norm else []
    layers = [f"layer {number}" for number in range(1, LAYERS + 1)]
    names = ["text", "tokens", "embedding", *layers, *final, "pooling", "normalize", "vector"]
    assert [stage.name for stage in trace.stages] == names
    for layer in trace.layers:
        assert layer.arrays["vectors"].shape == (n, spec.hidden_size)
        assert layer.arrays["attention"].shape == (spec.blocks[0].attention.heads, n, n)
        np.testing.assert_allclose(layer.arrays["attention"].sum(axis=-1), 1, rtol=0, atol=1e-6)
    assert trace.stage("embedding").arrays["word"].shape == (n, spec.embedding.size or spec.hidden_size)
    assert trace.drift().shape == (LAYERS, n)
    assert trace.prompt == "query: "
    with pytest.raises(KeyError, match="no stage 'soup'"):
        trace.stage("soup")


def test_tokens_have_the_positions_of_their_characters(tmp_path):
    trace = Embedder(tiny.write_model(tmp_path / "m")).trace("The matting zzz \U0001f600")
    joined = trace.prompt + trace.text
    assert trace.normalized == "the matting zzz \U0001f600"
    assert [(token.piece, joined[token.start : token.end]) for token in trace.tokens] == [
        ("[CLS]", ""),
        ("the", "The"),
        ("mat", "mat"),
        ("##t", "t"),
        ("##ing", "ing"),
        ("z", "z"),
        ("##z", "z"),
        ("##z", "z"),
        ("[UNK]", "\U0001f600"),
        ("[SEP]", ""),
    ]
    assert [token.continues for token in trace.tokens] == [False, False, False, True, True, False, True, True] + [
        False
    ] * 2
    assert [token.kind for token in trace.tokens] == ["special", *["text"] * 7, "unknown", "special"]


@pytest.mark.parametrize("side", ["right", "left"])
def test_tokens_that_were_cut_off_are_reported(tmp_path, side):
    folder = tiny.write_model(tmp_path / "m")
    tiny.edit_json(folder / "tokenizer_config.json", truncation_side=side)
    words = ["cat", "dog", "mat"] * 10
    trace = Embedder(folder, on_truncation="error").trace(" ".join(words))
    room = tiny.MAX_TOKENS - 2
    kept = words[:room] if side == "right" else words[-room:]
    assert [token.piece for token in trace.tokens[1:-1]] == kept
    assert [token.piece for token in trace.cut] == (words[room:] if side == "right" else words[:-room])
    assert f"{len(words) - room} more were cut off" in trace.stage("tokens").sentence


def test_a_text_without_tokens_has_a_trace(tmp_path):
    folder = tiny.write_model(tmp_path / "m")
    stored = json.loads((folder / "tokenizer.json").read_text())
    tiny.write_json(folder / "tokenizer.json", stored | {"post_processor": None})
    trace = Embedder(folder).trace("")
    assert trace.tokens == ()
    assert trace.vector.tolist() == [0] * 16
    assert trace.drift().size == 0


def test_a_trace_is_written_as_json_and_npz(embedder, tmp_path):
    trace = embedder.trace("a cat")
    written = json.loads(trace.to_json())
    assert [stage["name"] for stage in written["stages"]] == [stage.name for stage in trace.stages]
    assert written["stages"][-1]["arrays"]["vector"] == trace.vector.tolist()
    assert written["tokens"][1]["piece"] == trace.tokens[1].piece
    assert "arrays" not in json.loads(trace.to_json(arrays=False))["stages"][-1]
    trace.save_npz(tmp_path / "trace.npz")
    with np.load(tmp_path / "trace.npz") as stored:
        np.testing.assert_array_equal(stored["vector/vector"], trace.vector)
        np.testing.assert_array_equal(stored["layer 1/attention"], trace.layers[0].arrays["attention"])


@pytest.mark.parametrize("name", ["trace.npz", "trace"])
def test_arrays_are_written_whole_or_not_at_all(embedder, tmp_path, monkeypatch, name):
    trace = embedder.trace("a cat")
    trace.save_npz(tmp_path / name)
    whole = (tmp_path / "trace.npz").read_bytes()

    def fail(file, **_):
        Path(file).write_bytes(whole[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OptionError, match=r"trace\.npz cannot be written \(No space left on device\)"):
        trace.save_npz(tmp_path / name)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("trace.npz", whole)]


def test_attention_that_is_too_large_is_left_out_with_a_note(embedder, monkeypatch):
    monkeypatch.setattr(traces, "MAX_ATTENTION_BYTES", 100)
    trace = embedder.trace("the cat")
    assert "attention" not in trace.layers[0].arrays
    assert "is left out" in trace.left_out


def test_an_embedder_with_the_reference_engine_uses_it_for_traces(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m"), engine="reference")
    embedder.trace("a cat")
    assert embedder.encoder.reference is embedder.engine


def test_the_real_model(minilm):
    trace = minilm.trace("word " * 300)
    assert len(trace.tokens) == 256
    np.testing.assert_allclose(trace.vector, minilm.embed_query("word " * 300), rtol=0, atol=2e-6)


def test_a_trace_does_not_reveal_the_path_of_the_model(tmp_path):
    trace = Embedder(tiny.write_model(tmp_path / "my-model")).trace("a cat")
    assert trace.model_name == "my-model"
    assert str(tmp_path) not in trace.to_json()


def test_of_a_text_of_megabytes_only_the_start_is_tokenized(tiny_bert):
    trace = Embedder(tiny_bert).trace("the cat. " * 150_000)
    assert len(trace.tokens) == tiny.MAX_TOKENS
    assert len(trace.cut) == 16_384 - tiny.MAX_TOKENS
    assert "At least 16,360 more were cut off" in trace.stage("tokens").sentence
    assert len(trace.normalized) < 100_000
    assert [token.start for token in trace.cut] == sorted(token.start for token in trace.cut)
