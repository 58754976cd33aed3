from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import nomic_bert
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of nomic-embed-text-v1.5, only the keys that are read. Nomic's own code wrote it.
ORIGINAL = {
    "activation_function": "swiglu",
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "n_embd": 768,
    "n_head": 12,
    "n_inner": 3072,
    "n_layer": 12,
    "n_positions": 8192,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_scaling_factor": None,
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 30528,
}
# The same model, as transformers writes it.
TRANSFORMERS = {
    "hidden_act": "silu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 8192,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"},
    "type_vocab_size": 2,
    "vocab_size": 30528,
}


def spec(base=None, /, **changes) -> EncoderSpec:
    return nomic_bert.spec(Config("m: config.json", (base or ORIGINAL) | changes))


def test_the_config_of_nomic_embed_is_this_spec():
    assert spec() == encoder_spec(
        "nomic_bert",
        vocab_size=30528,
        hidden_size=768,
        layers=12,
        heads=12,
        intermediate_size=3072,
        activation="silu",
        layer_norm_eps=1e-12,
        positions=8192,
        token_types=2,
        gated=True,
        attention_bias=False,
        feed_forward_bias=False,
        attention=((None, 1000.0),),
    )


def test_both_forms_of_the_config_give_the_same_spec():
    assert spec(TRANSFORMERS) == spec()


def test_a_model_with_scaled_rotations_is_limited_to_its_training_length():
    assert spec(rotary_scaling_factor=2).max_tokens == 2048


@pytest.mark.parametrize(
    ("base", "changes", "kind", "message"),
    [
        (ORIGINAL, {"prenorm": True}, UnsupportedModelError, "prenorm is True"),
        (ORIGINAL, {"causal": True}, UnsupportedModelError, "causal is True"),
        (ORIGINAL, {"rotary_emb_fraction": 0.5}, UnsupportedModelError, "rotary_emb_fraction must be 1"),
        (
            ORIGINAL,
            {"rotary_emb_base": 1},
            InvalidModelError,
            "'rotary_emb_base' is 1.0, but must be finite and above 1",
        ),
        (ORIGINAL, {"num_experts": 8}, UnsupportedModelError, "num_experts"),
        (ORIGINAL, {"activation_function": "gelu"}, UnsupportedModelError, "activation_function 'gelu'"),
        (ORIGINAL, {"mlp_fc1_bias": True}, UnsupportedModelError, "mlp_fc1_bias and mlp_fc2_bias differ"),
        (TRANSFORMERS, {"head_dim": 32}, UnsupportedModelError, "head_dim is 32, but only"),
        (TRANSFORMERS, {"rope_parameters": {"rope_type": "longrope"}}, UnsupportedModelError, "rope_type 'longrope'"),
    ],
)
def test_an_unsupported_config_is_refused_with_a_reason(base, changes, kind, message):
    with pytest.raises(kind, match=message):
        spec(base, **changes)
