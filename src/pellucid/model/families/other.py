"""Every other architecture: what must be known of it so that transformers can do the rest.

Configs go by several names for one thing (https://huggingface.co/docs/transformers, ``attribute_map`` of each config).
"""

from __future__ import annotations

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.spec import AttentionSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormSpec

_HIDDEN = ("hidden_size", "d_model", "n_embd", "dim")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
_HEADS = ("num_attention_heads", "num_heads", "n_head", "n_heads")
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "seq_length")
_NO_LIMIT = 1 << 20


def spec(config: Config, why: str) -> EncoderSpec:
    """The sizes of an encoder that only transformers runs; ``why`` the project's own engines do not."""
    # Models that also see have the part that reads in a section of its own.
    own = config.section("text_config") if "text_config" in config.values else config
    hidden, heads = _first(own, _HIDDEN), _first(own, _HEADS, 1)
    layers = min(_first(own, _LAYERS, 1), bert.MOST_LAYERS)
    attention = AttentionSpec(heads, hidden // heads, heads)
    return EncoderSpec(
        family=config.string("model_type"),
        hidden_size=hidden,
        embedding=EmbeddingSpec(own.size("vocab_size"), _first(own, _POSITIONS, _NO_LIMIT), norm=None),
        blocks=bert.blocks(layers, attention, FeedForwardSpec(own.size("intermediate_size", 1), ""), NormSpec(0.0)),
        only_torch=why,
    )


def _first(config: Config, names: tuple[str, ...], default: int | None = None) -> int:
    for name in names:
        if config.values.get(name) is not None:
            return config.size(name)
    if default is None:
        raise InvalidModelError(f"{config.where} has none of {', '.join(names)}.")
    return default
