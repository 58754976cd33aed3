"""What the decoders have in common, on Llama."""

from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError
from pellucid.layers.rotary import Rotary
from pellucid.model.config import Config
from pellucid.model.families import eurobert, llama
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormPlaces,
    NormSpec,
)

NORM = NormSpec(1e-5, kind="rms", bias=False)
BASE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
}


def config(**changes) -> Config:
    return Config("m: config.json", BASE | changes)


def attention(**changes) -> AttentionSpec:
    return llama.spec(config(**changes)).blocks[0].attention


def test_the_spec_of_a_small_llama():
    attention = AttentionSpec(4, 8, 2, bias=False, output_bias=False, after=0, rotary=Rotary(500.0))
    feed_forward = FeedForwardSpec(48, "silu", gated=True, bias=False)
    places = NormPlaces(before=NORM)
    assert llama.spec(config()) == EncoderSpec(
        family="llama",
        hidden_size=32,
        embedding=EmbeddingSpec(vocab_size=100, positions=64, position_table=False, norm=None),
        blocks=(BlockSpec(attention, feed_forward, places, places),) * 2,
        final_norm=NORM,
    )


def test_missing_sizes_are_those_of_the_first_llama():
    spec = llama.spec(Config("m: config.json", {}))
    assert (spec.hidden_size, len(spec.blocks), spec.max_tokens, spec.vocab_size) == (4096, 32, 2048, 32_000)
    assert spec.blocks[0].attention.kv_heads == 32


def test_heads_may_have_a_size_of_their_own_and_all_keys():
    assert (attention(head_dim=10).head_size, attention(num_key_value_heads=None).kv_heads) == (10, 4)


def test_biases():
    assert (attention(attention_bias=True).bias, attention(attention_bias=True).output_bias) == (True, True)
    assert llama.spec(config(mlp_bias=True)).blocks[0].feed_forward.bias


def test_a_decoder_may_look_both_ways():
    assert (attention().after, attention(is_causal=False).after) == (0, None)


def test_eurobert_looks_both_ways():
    spec = eurobert.spec(config())
    assert (spec.family, spec.blocks[0].attention.has_window, spec.final_norm) == ("eurobert", False, NORM)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 33}, "4 attention heads do not divide the hidden size 33"),
        ({"num_key_value_heads": 3}, "3 key and value heads do not divide 4 query heads"),
        ({"head_dim": 7}, "the head size is 7, but rotary positions need an even one"),
        ({"is_causal": "yes"}, "'is_causal' is 'yes', but must be true or false"),
    ],
)
def test_broken_sizes_are_named(changes, message):
    with pytest.raises(InvalidModelError, match=message):
        llama.spec(config(**changes))
