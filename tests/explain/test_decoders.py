"""Traces and comparisons of decoders."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pellucid import Embedder
from tests.tiny_decoders import DECODERS, TEXTS, write_decoder

CAUSAL = ("llama", "qwen2", "qwen3", "mistral", "gemma3_text, causal")


@pytest.fixture(scope="module", params=list(DECODERS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def embedder(kind, tmp_path_factory):
    return Embedder(write_decoder(tmp_path_factory.mktemp("models") / "m", kind), on_truncation="ignore")


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_vector_equals_the_result_of_embed_query(embedder):
    for text in TEXTS:
        np.testing.assert_allclose(embedder.trace(text).vector, embedder.embed_query(text), rtol=0, atol=2e-6)


def test_attention_is_where_the_sentence_says(kind, embedder):
    trace = embedder.trace("the cat sat on the mat")
    n = len(trace.tokens)
    assert n > 8  # More than the windows have.
    later = np.triu(np.ones((n, n), dtype=bool), 1)
    for layer, block in zip(trace.layers, embedder.spec.encoder.blocks, strict=True):
        attention, before = layer.arrays["attention"], block.attention.before
        np.testing.assert_allclose(attention.sum(axis=-1), 1, rtol=0, atol=1e-6)
        assert (attention[:, later].max() == 0) == (kind in CAUSAL)
        assert ("itself and" in layer.sentence) == (kind in CAUSAL)
        if before is not None:
            too_far = np.tril(np.ones((n, n), dtype=bool), -before - 1)
            assert attention[:, too_far].max() == 0
            assert f" {before} " in layer.sentence


def test_only_the_last_token_of_a_causal_model_depends_on_the_last_word(kind, embedder):
    first, second = (embedder.trace(f"the cat sat on the {word}", prompt="") for word in ("mat", "rug"))
    same = 0
    while first.tokens[same].id == second.tokens[same].id:
        same += 1
    assert same > 3
    is_equal = np.array_equal(first.token_vectors[:same], second.token_vectors[:same])
    assert is_equal == (kind in CAUSAL)
    assert embedder.spec.encoder.is_causal == (kind in CAUSAL)
    has_read_all = "Only this token has read the whole text." in first.stage("pooling").sentence
    assert has_read_all == (kind in CAUSAL)  # All causal ones here pool the last token.


def test_a_comparison_is_exact_if_the_model_takes_the_mean(kind, embedder):
    found = embedder.compare("the cat sat", "a dog", prompt="")
    vectors = [embedder.embed_query(text, prompt="") for text in ("the cat sat", "a dog")]
    assert found.cosine == pytest.approx(cosine(*vectors), abs=2e-6)
    if DECODERS[kind].pooling == "mean_tokens":
        assert found.pairs.sum() == pytest.approx(found.cosine, abs=1e-6)
    else:
        assert "lasttoken pooling uses only the last token's vector" in found.why_no_pairs


def test_without_pairs_the_cosine_falls_as_without_the_token(tmp_path):
    embedder = Embedder(write_decoder(tmp_path / "m", "qwen3"))
    found = embedder.compare("the cat", "a dog", prompt="")
    assert [token.piece for token in found.first.tokens] == ["the", "Ġcat", "<|endoftext|>"]
    other = embedder.embed_query("a dog", prompt="")
    falls = [found.cosine - cosine(embedder.embed_query(text, prompt=""), other) for text in (" cat", "the")]
    np.testing.assert_allclose(found.first_shares, [*falls, 0], rtol=0, atol=2e-6)


def test_the_sentence_names_a_token_without_the_space_before_it(tmp_path):
    embedder = Embedder(write_decoder(tmp_path / "m", "qwen3"))
    found = embedder.compare("the cat", "the cat on", prompt="")
    found = dataclasses.replace(found, cosine=0.6, first_shares=np.array([0, 0.2, 0]), second_shares=np.zeros(5))
    assert [token.piece for token in found.second.tokens] == ["the", "Ġcat", "Ġ", "on", "<|endoftext|>"]
    assert found.sentence == "Without “cat” in the first text, the cosine falls by 0.20."
    found = dataclasses.replace(found, first_shares=np.zeros(3), second_shares=np.array([0, 0, 0.2, 0, 0]))
    assert found.sentence == "Without “Ġ” in the second text, the cosine falls by 0.20."


def test_the_tokens_of_an_instruction_are_left_out_too(tmp_path):
    embedder = Embedder(write_decoder(tmp_path / "m", "qwen3"))
    found = embedder.compare("the cat", "a dog", prompt="the the ")
    assert [token.piece for token in found.first.tokens[:2]] == ["the", "Ġthe"]
    shorter = cosine(embedder.embed_query("the cat", prompt=" the "), embedder.embed_query("a dog", prompt="the the "))
    assert found.first_shares[0] == pytest.approx(found.cosine - shorter, abs=2e-6)


def test_two_modules_of_one_kind_have_different_names(tmp_path):
    embedder = Embedder(write_decoder(tmp_path / "m", "gemma3_text"))
    trace = embedder.trace("the cat")
    assert [stage.name for stage in trace.stages[-5:]] == ["pooling", "dense", "dense 2", "normalize", "vector"]
    sizes = [spec.out_features for spec in embedder.spec.modules[:2]]
    assert [len(trace.stage(name).arrays["output"]) for name in ("dense", "dense 2")] == sizes
    trace.save_npz(tmp_path / "trace.npz")
    with np.load(tmp_path / "trace.npz") as stored:
        np.testing.assert_array_equal(stored["dense 2/output"], trace.stage("dense 2").arrays["output"])
