from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import modernbert
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of ModernBERT-base, only the keys that are read, and with fewer layers.
BASE = {
    "attention_bias": False,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "intermediate_size": 1152,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": 12,
    "num_hidden_layers": 5,
    "vocab_size": 50368,
}
LOCAL, GLOBAL = (64, 10000.0), (None, 160000.0)


def spec(**changes) -> EncoderSpec:
    return modernbert.spec(Config("m: config.json", BASE | changes))


def windows_and_bases(encoder):
    return [(block.attention.before, block.attention.rotary.base) for block in encoder.blocks]


def test_the_config_of_modernbert_base_is_this_spec():
    assert spec() == encoder_spec(
        "modernbert",
        vocab_size=50368,
        hidden_size=768,
        layers=5,
        heads=12,
        intermediate_size=1152,
        activation="gelu",
        layer_norm_eps=1e-5,
        positions=8192,
        norm_first=True,
        gated=True,
        attention_bias=False,
        feed_forward_bias=False,
        norm_bias=False,
        attention=(GLOBAL, LOCAL, LOCAL),
    )
    assert spec().max_tokens == 8192
    assert windows_and_bases(spec()) == [GLOBAL, LOCAL, LOCAL, GLOBAL, LOCAL]


def test_newer_configs_list_the_layer_types_and_have_a_base_for_each():
    newer = {key: BASE[key] for key in BASE if "rope" not in key and "every" not in key}
    newer |= {
        "layer_types": ["sliding_attention", "full_attention"],
        "num_hidden_layers": 2,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 77},
        },
    }
    encoder = modernbert.spec(Config("m: config.json", newer))
    assert windows_and_bases(encoder) == [(64, 77), (None, 5000.0)]


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        (
            {"layer_types": ["full_attention"]},
            InvalidModelError,
            "layer_types must list one type for each of the 5 layers",
        ),
        (
            {"layer_types": ["chunked"] * 5},
            InvalidModelError,
            "layer_types must list one type for each of the 5 layers",
        ),
        (
            {"layer_types": [["full_attention"]] * 5},
            InvalidModelError,
            "layer_types must list one type for each of the 5 layers",
        ),
        ({"global_attn_every_n_layers": 0}, InvalidModelError, "'global_attn_every_n_layers' is 0"),
        ({"global_attn_every_n_layers": 1 << 70}, InvalidModelError, "must be at most 10000"),
        ({"rope_scaling": {"type": "yarn"}}, UnsupportedModelError, "rope_scaling is not supported"),
        (
            {"rope_parameters": {"full_attention": {"rope_type": "longrope"}}},
            UnsupportedModelError,
            "rope_type 'longrope'",
        ),
        ({"global_rope_theta": 0}, InvalidModelError, "'global_rope_theta' is 0.0, but must be finite and above 1"),
        ({"local_rope_theta": 1e400}, InvalidModelError, "'local_rope_theta' is inf, but must be finite"),
        ({"hidden_activation": "mish"}, UnsupportedModelError, "hidden_activation 'mish'"),
    ],
)
def test_an_unsupported_config_is_refused_with_a_reason(changes, kind, message):
    with pytest.raises(kind, match=message):
        spec(**changes)
