"""EuroBERT (Boizard et al., 2025): an encoder that is made like Llama, and whose tokens look both ways."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert, llama
from pellucid.model.spec import EncoderSpec

NAMES = llama.NAMES

_DEFAULTS = {
    "vocab_size": 128_256,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "attention_bias": False,
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a EuroBERT encoder. The defaults are those of transformers' ``EuroBertConfig``."""
    config = config.with_defaults(_DEFAULTS)
    bias = config.flag("attention_bias")
    attention = dataclasses.replace(llama.read_attention(config, bias=bias, output_bias=bias), after=None)
    return llama.decoder("eurobert", config, [attention] * bert.layer_count(config, "num_hidden_layers"))
