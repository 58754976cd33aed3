"""Qwen3 (Yang et al., 2025): a decoder like Llama, with a norm of each head's query and key."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert, llama
from pellucid.model.families.qwen2 import with_windows
from pellucid.model.spec import EncoderSpec

NAMES = dataclasses.replace(llama.NAMES, query_norm="self_attn.q_norm", key_norm="self_attn.k_norm")

_DEFAULTS = {
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 22_016,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "head_dim": 128,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a Qwen3 decoder. The defaults are those of transformers' ``Qwen3Config``."""
    whole = config.with_defaults(_DEFAULTS)
    bias = whole.flag("attention_bias")
    attention = llama.read_attention(whole, bias=bias, output_bias=bias, qk_norm=llama.read_norm_spec(whole))
    layers = bert.layer_count(whole, "num_hidden_layers")
    return llama.decoder("qwen3", whole, with_windows(config, attention, layers))
