"""Qwen2 (Yang et al., 2024): a decoder like Llama, whose queries, keys and values have biases."""

from __future__ import annotations

from pellucid.model.config import Config
from pellucid.model.families import bert, llama
from pellucid.model.families.attention_types import read_layer_types, read_window, with_window
from pellucid.model.spec import AttentionSpec, EncoderSpec

NAMES = llama.NAMES

_DEFAULTS = {
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 22_016,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 32_768,
    "rms_norm_eps": 1e-6,
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a Qwen2 decoder. The defaults are those of transformers' ``Qwen2Config``."""
    whole = config.with_defaults(_DEFAULTS)
    attention = llama.read_attention(whole, bias=True, output_bias=False)
    layers = bert.layer_count(whole, "num_hidden_layers")
    return llama.decoder("qwen2", whole, with_windows(config, attention, layers))


def with_windows(config: Config, attention: AttentionSpec, layers: int) -> list[AttentionSpec]:
    """The attention of each layer. The last ones may look at a window of the tokens before them.

    ``use_sliding_window`` says if there are windows, and ``layer_types`` or ``max_window_layers`` where.
    """
    window = read_window(config, 4096) if config.flag("use_sliding_window", False) else None
    if window is None:
        return [attention] * layers
    first = config.integer("max_window_layers", 28, minimum=0)
    default = ["sliding_attention" if number >= first else "full_attention" for number in range(layers)]
    attentions = {"full_attention": attention, "sliding_attention": with_window(attention, window)}
    return [attentions[kind] for kind in read_layer_types(config, default, tuple(attentions))]
