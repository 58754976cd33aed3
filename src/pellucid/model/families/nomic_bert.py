"""NomicBERT (Nussbaum et al., "Nomic Embed", 2024): BERT with rotary positions, a gated feed-forward, and few biases.

The files come in two forms. Nomic's own code writes config keys as GPT-2 has them, and fused tensors. transformers,
since it supports the family, writes its usual keys and tensors. Config and weights are each recognised on their own.
"""

from __future__ import annotations

import dataclasses

from pellucid.errors import UnsupportedModelError
from pellucid.layers.rotary import Rotary
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.attention_types import read_rotary, read_rotary_base
from pellucid.model.families.names import HeadNames, TensorNames, TensorPart
from pellucid.model.spec import EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormSpec

NAMES = TensorNames(
    prefixes=("", "nomic_bert.", "bert."),
    word="embeddings.word_embeddings",
    position=None,
    token_type="embeddings.token_type_embeddings",
    embedding_norm="embeddings.LayerNorm",
    relative_bias=None,
    layer="layers.{}.",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    attention_output="self_attn.o_proj",
    attention_norm="post_attention_layernorm",
    gate="mlp.gate_proj",
    intermediate="mlp.up_proj",
    output="mlp.down_proj",
    feed_forward_norm="post_mlp_layernorm",
    final_norm=None,
)
ORIGINAL_NAMES = dataclasses.replace(
    NAMES,
    embedding_norm="emb_ln",
    layer="encoder.layers.{}.",
    query=TensorPart("attn.Wqkv", 0, count=3),
    key=TensorPart("attn.Wqkv", 1, count=3),
    value=TensorPart("attn.Wqkv", 2, count=3),
    attention_output="attn.out_proj",
    attention_norm="norm1",
    gate="mlp.fc12",
    intermediate="mlp.fc11",
    output="mlp.fc2",
    feed_forward_norm="norm2",
)
HEAD = HeadNames("nomic_bert.pooler.dense", "classifier")

_GATED_ACTIVATIONS = {"swiglu": "silu", "geglu": "gelu"}
# Nomic's config has these settings too, but none of their published text models uses another value.
_SUPPORTED_FLAGS = {
    "causal": False,
    "parallel_block": False,
    "prenorm": False,
    "rotary_emb_interleaved": False,
    "use_rms_norm": False,
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a NomicBERT encoder."""
    return _original_spec(config) if "n_embd" in config.values else _transformers_spec(config)


def _transformers_spec(config: Config) -> EncoderSpec:
    """The spec of a config that transformers wrote. The defaults are those of its ``NomicBertConfig``."""
    hidden, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    if (head_dim := config.size("head_dim", max(1, hidden // heads))) * heads != hidden:
        raise UnsupportedModelError(
            f"{config.where}: head_dim is {head_dim}, but only hidden_size / num_attention_heads ({hidden} / {heads}) "
            f"is supported."
        )
    norm = NormSpec(config.number("layer_norm_eps", 1e-12, minimum=0, maximum=1))
    positions = config.size("max_position_embeddings", 2048)
    rotary = read_rotary(config.section("rope_parameters"), 1000.0, positions)
    activation = bert.activation(config, "hidden_act", "silu")
    return EncoderSpec(
        family="nomic_bert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size", 30528),
            positions=positions,
            position_table=False,
            token_types=config.size("type_vocab_size", 2),
            norm=norm,
        ),
        blocks=bert.blocks(
            bert.layer_count(config, "num_hidden_layers", 12),
            bert.attention(config, hidden, heads, bias=False, rotary=rotary),
            FeedForwardSpec(config.size("intermediate_size", 3072), activation, gated=True, bias=False),
            norm,
        ),
    )


def _original_spec(config: Config) -> EncoderSpec:
    """The spec of a config that Nomic's own code wrote.

    The defaults are those of its ``NomicBertConfig``, which is GPT-2's config with more keys.
    """
    for key, value in _SUPPORTED_FLAGS.items():
        if config.flag(key, value) is not value:
            raise UnsupportedModelError(f"{config.where}: {key} is {not value}, which is not supported.")
    if config.number("rotary_emb_fraction", 0.0) != 1:
        raise UnsupportedModelError(f"{config.where}: rotary_emb_fraction must be 1, so that whole heads are rotated.")
    if config.integer("num_experts", 0):
        raise UnsupportedModelError(f"{config.where}: a mixture of experts (num_experts) is not supported.")
    if (activation := config.string("activation_function", "gelu")) not in _GATED_ACTIVATIONS:
        raise UnsupportedModelError(
            f"{config.where}: activation_function {activation!r:.80} is not supported. "
            f"Supported: {', '.join(_GATED_ACTIVATIONS)}."
        )
    if (bias := config.flag("mlp_fc1_bias", True)) is not config.flag("mlp_fc2_bias", True):
        raise UnsupportedModelError(f"{config.where}: mlp_fc1_bias and mlp_fc2_bias differ, which is not supported.")
    # With a rotary_scaling_factor, the rotations of a text that is longer than those of the training depend on its
    # length. Pellucid does not support that. It limits such a model to the length of its training texts.
    has_scaling = config.values.get("rotary_scaling_factor") is not None
    hidden = config.size("n_embd")
    norm = NormSpec(config.number("layer_norm_epsilon", 1e-5, minimum=0, maximum=1))
    rotary = Rotary(read_rotary_base(config, "rotary_emb_base", 10_000.0))
    return EncoderSpec(
        family="nomic_bert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size", 50257),
            positions=config.size("max_trained_positions", 2048) if has_scaling else config.size("n_positions", 1024),
            position_table=False,
            token_types=config.size("type_vocab_size", 2),
            norm=norm,
        ),
        blocks=bert.blocks(
            bert.layer_count(config, "n_layer", 12),
            bert.attention(
                config, hidden, config.size("n_head", 12), bias=config.flag("qkv_proj_bias", True), rotary=rotary
            ),
            FeedForwardSpec(config.size("n_inner", 4 * hidden), _GATED_ACTIVATIONS[activation], gated=True, bias=bias),
            norm,
        ),
    )
