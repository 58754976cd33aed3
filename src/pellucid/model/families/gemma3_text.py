"""Gemma 3 (Gemma Team, 2025) without its pictures, and EmbeddingGemma, which is a Gemma 3 that looks both ways.

It is a decoder with a norm before and after each sublayer, norms of queries and keys, and local attention in most
layers. Its token vectors are scaled, and its files store the weights of the norms minus 1.
"""

from __future__ import annotations

import dataclasses
import math

from pellucid.errors import UnsupportedModelError
from pellucid.layers.rotary import Rotary
from pellucid.model.config import Config
from pellucid.model.families import bert, llama
from pellucid.model.families.attention_types import read_layer_types, read_rotary, read_rotary_base, with_window
from pellucid.model.spec import AttentionSpec, EncoderSpec, NormPlaces

NAMES = dataclasses.replace(
    llama.NAMES,
    query_norm="self_attn.q_norm",
    key_norm="self_attn.k_norm",
    attention_after_norm="post_attention_layernorm",
    feed_forward_norm="pre_feedforward_layernorm",
    feed_forward_after_norm="post_feedforward_layernorm",
)

_DEFAULTS = {
    "vocab_size": 262_208,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "use_bidirectional_attention": False,
}
_MAX_PATTERN = 10_000


def spec(config: Config) -> EncoderSpec:
    """The shape of a Gemma 3 decoder. The defaults are those of transformers' ``Gemma3TextConfig``."""
    config = config.with_defaults(_DEFAULTS)
    if config.values.get("attn_logit_softcapping") is not None:
        raise UnsupportedModelError(f"{config.where}: attn_logit_softcapping is not supported.")
    norm = llama.read_norm_spec(config, adds_one=True)
    attentions = _attentions(config)
    found = llama.decoder(
        "gemma3_text",
        config,
        [attentions[kind] for kind in _read_layer_types(config, tuple(attentions))],
        places=NormPlaces(before=norm, after=norm),
        activation_key="hidden_activation",
    )
    embedding = dataclasses.replace(found.embedding, scale=math.sqrt(found.hidden_size))
    return dataclasses.replace(found, embedding=embedding)


def _attentions(config: Config) -> dict[str, AttentionSpec]:
    """The attention of each type of layers."""
    bias, norm = config.flag("attention_bias"), llama.read_norm_spec(config, adds_one=True)
    local_rotary, global_rotary = _read_rotaries(config)
    attention = dataclasses.replace(
        llama.read_attention(config, bias=bias, output_bias=bias, rotary=global_rotary, qk_norm=norm),
        scale=1 / math.sqrt(config.number("query_pre_attn_scalar", minimum=1e-6)),
    )
    looks_both_ways = config.flag("use_bidirectional_attention")
    window = config.size("sliding_window")
    local = with_window(attention, window // 2 + 1 if looks_both_ways else window)
    if looks_both_ways:  # Then half of the window is before a token, and half after it.
        attention = dataclasses.replace(attention, after=None)
        local = dataclasses.replace(local, after=local.before)
    return {"sliding_attention": dataclasses.replace(local, rotary=local_rotary), "full_attention": attention}


def _read_rotaries(config: Config) -> tuple[Rotary, Rotary]:
    """The rotary positions of local layers and of those that see the whole text.

    Today's keys are in ``rope_parameters``, a section for each type. Before, ``rope_theta`` and ``rope_scaling`` were
    those of the layers that see the whole text, and local layers had a base alone.
    """
    positions = config.size("max_position_embeddings")
    sections = config.section("rope_parameters")
    whole = sections.section("full_attention")
    whole = Config(whole.where, whole.values | config.section("rope_scaling").values)
    return (
        read_rotary(
            sections.section("sliding_attention"), read_rotary_base(config, "rope_local_base_freq", 10_000.0), positions
        ),
        read_rotary(whole, read_rotary_base(config, "rope_theta", 1_000_000.0), positions),
    )


def _read_layer_types(config: Config, supported: tuple[str, ...]) -> list[str]:
    """The type of each layer. The configs of the first models say that every n-th layer sees the whole text."""
    interval = config.size("sliding_window_pattern", 6, maximum=_MAX_PATTERN)
    layers = bert.layer_count(config, "num_hidden_layers")
    default = ["sliding_attention" if (number + 1) % interval else "full_attention" for number in range(layers)]
    return read_layer_types(config, default, supported)
