from __future__ import annotations

import math

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.rotary import LinearScaling, Rotary
from pellucid.model.config import Config
from pellucid.model.families import gemma3_text
from pellucid.model.spec import NormPlaces, NormSpec

# The sizes of EmbeddingGemma, with fewer layers.
BASE = {
    "vocab_size": 262_144,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 7,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "max_position_embeddings": 2048,
    "query_pre_attn_scalar": 256,
    "sliding_window": 512,
    "use_bidirectional_attention": True,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 10000.0,
}
NORM = NormSpec(1e-6, kind="rms", bias=False, adds_one=True)


def spec(**changes):
    return gemma3_text.spec(Config("m: config.json", BASE | changes))


def reaches(encoder):
    return [(block.attention.before, block.attention.after) for block in encoder.blocks]


def rotaries(**changes):
    blocks = spec(**changes).blocks
    return blocks[0].attention.rotary, blocks[5].attention.rotary


def test_the_shape_of_embedding_gemma():
    found = spec()
    attention = found.blocks[0].attention
    assert (found.family, found.hidden_size, found.max_tokens) == ("gemma3_text", 768, 2048)
    assert found.embedding.scale == math.sqrt(768)
    assert (attention.heads, attention.kv_heads, attention.head_size) == (3, 1, 256)
    assert (attention.bias, attention.qk_norm, attention.scale) == (False, NORM, 1 / 16)
    assert found.final_norm == NORM
    for block in found.blocks:
        assert block.attention_norms == block.feed_forward_norms == NormPlaces(before=NORM, after=NORM)
        assert (block.feed_forward.activation, block.feed_forward.gated) == ("gelu_tanh", True)


def test_every_sixth_layer_sees_the_whole_text():
    assert reaches(spec()) == [(256, 256)] * 5 + [(None, None)] + [(256, 256)]
    assert reaches(spec(sliding_window_pattern=2))[:4] == [(256, 256), (None, None)] * 2
    types = ["full_attention", *["sliding_attention"] * 6]
    assert reaches(spec(layer_types=types)) == [(None, None)] + [(256, 256)] * 6


def test_a_causal_window_counts_the_token_itself():
    assert reaches(spec(use_bidirectional_attention=False))[4:6] == [(511, 0), (None, 0)]
    assert reaches(spec(use_bidirectional_attention=None))[4:6] == [(511, 0), (None, 0)]
    assert reaches(spec(use_bidirectional_attention=False, is_causal=False))[4:6] == [(512, 512), (None, None)]


def test_rotary_positions_under_old_and_new_keys():
    assert rotaries() == (Rotary(10_000.0), Rotary(1_000_000.0))
    assert rotaries(rope_theta=None, rope_local_base_freq=None) == (Rotary(10_000.0), Rotary(1_000_000.0))
    scaled = Rotary(1_000_000.0, LinearScaling(8.0))
    assert rotaries(rope_scaling={"rope_type": "linear", "factor": 8.0}) == (Rotary(10_000.0), scaled)
    sections = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 5.0},
        "full_attention": {"rope_type": "linear", "factor": 8.0},
    }
    assert rotaries(rope_parameters=sections) == (Rotary(5.0), scaled)


def test_what_is_refused():
    with pytest.raises(UnsupportedModelError, match="attn_logit_softcapping is not supported"):
        spec(attn_logit_softcapping=50.0)
    with pytest.raises(UnsupportedModelError, match="'full_attention': rope_type 'longrope' is not supported"):
        spec(rope_parameters={"full_attention": {"rope_type": "longrope"}})
    with pytest.raises(InvalidModelError, match="'query_pre_attn_scalar' is 0.0, but must be"):
        spec(query_pre_attn_scalar=0)
    with pytest.raises(InvalidModelError, match="layer_types must list one type for each of the 7 layers"):
        spec(layer_types=["full_attention"])
