"""Mistral (Jiang et al., "Mistral 7B", 2023): a decoder like Llama, whose tokens may look at a window before them."""

from __future__ import annotations

from pellucid.model.config import Config
from pellucid.model.families import bert, llama
from pellucid.model.families.attention_types import read_window, with_window
from pellucid.model.spec import EncoderSpec

NAMES = llama.NAMES

_DEFAULTS = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-6,
}
_KEY_VALUE_HEADS = 8


def spec(config: Config) -> EncoderSpec:
    """The shape of a Mistral decoder. The defaults are those of transformers' ``MistralConfig``."""
    window = read_window(config, 4096)
    heads = {} if "num_key_value_heads" in config.values else {"num_key_value_heads": _KEY_VALUE_HEADS}
    config = config.with_defaults(_DEFAULTS | heads)  # If the key is there and null, no head is shared.
    attention = llama.read_attention(config, bias=False, output_bias=False)
    if window is not None:
        attention = with_window(attention, window)
    return llama.decoder("mistral", config, [attention] * bert.layer_count(config, "num_hidden_layers"))
