"""Every other architecture: the few sizes that Pellucid needs when transformers runs the model.

Configs use several keys for the same size (https://huggingface.co/docs/transformers, ``attribute_map`` of each config).
"""

from __future__ import annotations

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormSpec

_HIDDEN_SIZE_KEYS = ("hidden_size", "d_model", "n_embd", "dim")
_LAYER_KEYS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
_HEAD_KEYS = ("num_attention_heads", "num_heads", "n_head", "n_heads")
_POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length")
_NO_LIMIT = 1 << 20


def spec(config: Config, reason: str) -> EncoderSpec:
    """The sizes of an encoder that only transformers can run. ``reason`` says why Pellucid's own engines cannot."""
    # In the config of a vision-language model, the text encoder has a section of its own.
    text_config = config.section("text_config") if "text_config" in config.values else config
    hidden, heads = _first_size(text_config, _HIDDEN_SIZE_KEYS), _first_size(text_config, _HEAD_KEYS, 1)
    layers = min(_first_size(text_config, _LAYER_KEYS, 1), bert.MAX_LAYERS)
    positions = _first_size(text_config, _POSITION_KEYS, _NO_LIMIT)
    feed_forward = FeedForwardSpec(text_config.size("intermediate_size", 1), "")
    attention = AttentionSpec(heads, hidden // heads, heads)
    return EncoderSpec(
        family=config.string("model_type"),
        hidden_size=hidden,
        embedding=EmbeddingSpec(text_config.size("vocab_size"), positions, norm=None),
        blocks=bert.blocks(layers, attention, feed_forward, NormSpec(0.0)),
        only_torch=reason,
    )


def _first_size(config: Config, keys: tuple[str, ...], default: int | None = None) -> int:
    """The value of the first of these keys that the config has."""
    for key in keys:
        if config.values.get(key) is not None:
            return config.size(key)
    if default is None:
        raise InvalidModelError(f"{config.where} has none of the keys {', '.join(keys)}.")
    return default
