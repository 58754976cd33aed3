"""ModernBERT (Warner et al., 2024): norms come first, positions are rotations, two layers of three look nearby only."""

from __future__ import annotations

import dataclasses
import math

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import TensorNames, TensorPart
from pellucid.model.spec import BlockSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormPlaces, NormSpec

NAMES = TensorNames(
    prefixes=("", "model."),
    word="embeddings.tok_embeddings",
    position=None,
    token_type=None,
    embedding_norm="embeddings.norm",
    relative_bias=None,
    layer="layers.{}.",
    query=TensorPart("attn.Wqkv", 0, of=3),
    key=TensorPart("attn.Wqkv", 1, of=3),
    value=TensorPart("attn.Wqkv", 2, of=3),
    attention_output="attn.Wo",
    attention_norm="attn_norm",
    gate=TensorPart("mlp.Wi", 0, of=2),
    intermediate=TensorPart("mlp.Wi", 1, of=2),
    output="mlp.Wo",
    feed_forward_norm="mlp_norm",
    final_norm="final_norm",
)

_MOST_EVERY = 10_000


def spec(config: Config) -> EncoderSpec:
    """The shape of a ModernBERT encoder. Defaults are those of transformers' ``ModernBertConfig``."""
    hidden, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    bias = config.flag("attention_bias", False)
    far = _rotary_base(config, "full_attention", "global", 160_000.0)
    near = _rotary_base(config, "sliding_attention", "local", 10_000.0)
    kinds = {
        "full_attention": bert.attention(config, hidden, heads, bias=bias, rotary_base=far),
        "sliding_attention": dataclasses.replace(
            bert.attention(config, hidden, heads, bias=bias, rotary_base=near),
            window=config.size("local_attention", 128) // 2,
        ),
    }
    feed_forward = FeedForwardSpec(
        config.size("intermediate_size", 1152),
        bert.activation(config, "hidden_activation"),
        gated=True,
        bias=config.flag("mlp_bias", False),
    )
    norm = NormSpec(config.number("norm_eps", 1e-5, least=0, most=1), bias=config.flag("norm_bias", False))
    before = NormPlaces(before=norm)
    layers = bert.layers(config, "num_hidden_layers", 22)
    types = _layer_types(config, layers, tuple(kinds))
    return EncoderSpec(
        family="modernbert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size", 50368),
            positions=config.size("max_position_embeddings", 8192),
            position_table=False,
            norm=norm,
        ),
        # The first layer's attention takes the embeddings as they are, which are normalised.
        blocks=tuple(
            BlockSpec(kinds[kind], feed_forward, before if number else NormPlaces(), before)
            for number, kind in enumerate(types)
        ),
        final_norm=norm,
    )


def _layer_types(config: Config, layers: int, known: tuple[str, ...]) -> list[str]:
    """Each layer's kind: listed, or, in the configs of the first models, every so many of them global."""
    types = config.values.get("layer_types")
    if types is None:
        every = config.size("global_attn_every_n_layers", 3, most=_MOST_EVERY)
        return ["sliding_attention" if number % every else "full_attention" for number in range(layers)]
    if not isinstance(types, list) or len(types) != layers or not all(kind in known for kind in types):
        raise InvalidModelError(f"{config.where}: layer_types must list {layers} times one of {', '.join(known)}.")
    return types


def _rotary_base(config: Config, kind: str, older: str, default: float) -> float:
    """The base of the rotations, by its present name, or by that in the configs of the first models."""
    if config.values.get("rope_scaling") is not None:
        raise UnsupportedModelError(f"{config.where}: rope_scaling is not supported.")
    rope = config.section("rope_parameters").section(kind)
    return rotary_base(rope, checked_base(config, f"{older}_rope_theta", default))


def rotary_base(rope: Config, default: float) -> float:
    """``rope_theta`` of an object of transformers' "rope_parameters" (Su et al., "RoFormer", 2021)."""
    if (kind := rope.string("rope_type", "default")) != "default":
        raise UnsupportedModelError(f"{rope.where}: rope_type {kind!r:.80} is not supported, only 'default'.")
    return checked_base(rope, "rope_theta", default)


def checked_base(config: Config, key: str, default: float) -> float:
    """The base of rotations: a finite number above 1."""
    base = config.number(key, default)
    if not 1 < base < math.inf:
        raise InvalidModelError(f"{config.where}: a {key} of {base} is none; it must be finite and above 1.")
    return base
