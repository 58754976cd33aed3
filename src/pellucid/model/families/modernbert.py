"""ModernBERT (Warner et al., 2024): pre-norm layers, rotary positions, and local attention in two layers of three."""

from __future__ import annotations

import dataclasses
import math
from typing import cast

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames, TensorNames, TensorPart, VocabularyNames
from pellucid.model.spec import BlockSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormPlaces, NormSpec

NAMES = TensorNames(
    prefixes=("", "model."),
    word="embeddings.tok_embeddings",
    position=None,
    token_type=None,
    embedding_norm="embeddings.norm",
    relative_bias=None,
    layer="layers.{}.",
    query=TensorPart("attn.Wqkv", 0, count=3),
    key=TensorPart("attn.Wqkv", 1, count=3),
    value=TensorPart("attn.Wqkv", 2, count=3),
    attention_output="attn.Wo",
    attention_norm="attn_norm",
    gate=TensorPart("mlp.Wi", 0, count=2),
    intermediate=TensorPart("mlp.Wi", 1, count=2),
    output="mlp.Wo",
    feed_forward_norm="mlp_norm",
    final_norm="final_norm",
)
HEAD = HeadNames(
    dense="head.dense",
    output="classifier",
    activation_key="classifier_activation",
    bias_key="classifier_bias",
    norm="head.norm",
    pooling_key="classifier_pooling",
)
VOCABULARY = VocabularyNames(
    dense="head.dense",
    norm="head.norm",
    decoder="decoder",
    bias="decoder.bias",
    activation_key="classifier_activation",
    dense_bias_key="classifier_bias",
    decoder_bias_key="decoder_bias",
)

_MAX_GLOBAL_INTERVAL = 10_000


def spec(config: Config) -> EncoderSpec:
    """The shape of a ModernBERT encoder. The defaults are those of transformers' ``ModernBertConfig``."""
    hidden, heads = config.size("hidden_size", 768), config.size("num_attention_heads", 12)
    bias = config.flag("attention_bias", False)
    global_base = _read_attention_base(config, "full_attention", "global", 160_000.0)
    local_base = _read_attention_base(config, "sliding_attention", "local", 10_000.0)
    attentions = {
        "full_attention": bert.attention(config, hidden, heads, bias=bias, rotary_base=global_base),
        "sliding_attention": dataclasses.replace(
            bert.attention(config, hidden, heads, bias=bias, rotary_base=local_base),
            window=config.size("local_attention", 128) // 2,
        ),
    }
    feed_forward = FeedForwardSpec(
        config.size("intermediate_size", 1152),
        bert.activation(config, "hidden_activation"),
        gated=True,
        bias=config.flag("mlp_bias", False),
    )
    norm = NormSpec(config.number("norm_eps", 1e-5, minimum=0, maximum=1), bias=config.flag("norm_bias", False))
    pre_norm = NormPlaces(before=norm)
    layers = bert.layer_count(config, "num_hidden_layers", 22)
    layer_types = _read_layer_types(config, layers, tuple(attentions))
    return EncoderSpec(
        family="modernbert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size", 50368),
            positions=config.size("max_position_embeddings", 8192),
            position_table=False,
            norm=norm,
        ),
        # The first attention has no norm before it, because the embeddings are normalized already.
        blocks=tuple(
            BlockSpec(attentions[layer_type], feed_forward, pre_norm if number else NormPlaces(), pre_norm)
            for number, layer_type in enumerate(layer_types)
        ),
        final_norm=norm,
    )


def _read_layer_types(config: Config, layers: int, supported: tuple[str, ...]) -> list[str]:
    """The type of each layer's attention.

    Newer configs list the types. The configs of the first models only say that every n-th layer has global attention.
    """
    layer_types = config.values.get("layer_types")
    if layer_types is None:
        interval = config.size("global_attn_every_n_layers", 3, maximum=_MAX_GLOBAL_INTERVAL)
        return ["sliding_attention" if number % interval else "full_attention" for number in range(layers)]
    is_valid = (
        isinstance(layer_types, list)
        and len(layer_types) == layers
        and all(layer_type in supported for layer_type in layer_types)
    )
    if not is_valid:
        raise InvalidModelError(
            f"{config.where}: layer_types must list one type for each of the {layers} layers. "
            f"Supported: {', '.join(supported)}."
        )
    return cast("list[str]", layer_types)


def _read_attention_base(config: Config, layer_type: str, old_prefix: str, default: float) -> float:
    """The rotary base of a type of attention, under its current key or the key in the configs of the first models."""
    if config.values.get("rope_scaling") is not None:
        raise UnsupportedModelError(f"{config.where}: rope_scaling is not supported.")
    parameters = config.section("rope_parameters").section(layer_type)
    return read_rope_theta(parameters, read_rotary_base(config, f"{old_prefix}_rope_theta", default))


def read_rope_theta(parameters: Config, default: float) -> float:
    """The rotary base in the "rope_parameters" of transformers (Su et al., "RoFormer", 2021)."""
    if (rope_type := parameters.string("rope_type", "default")) != "default":
        raise UnsupportedModelError(
            f"{parameters.where}: rope_type {rope_type!r:.80} is not supported, only 'default'."
        )
    return read_rotary_base(parameters, "rope_theta", default)


def read_rotary_base(config: Config, key: str, default: float) -> float:
    """The base of rotary positions: a finite number above 1."""
    base = config.number(key, default)
    if not 1 < base < math.inf:
        raise InvalidModelError(f"{config.where}: {key!r} is {base}, but must be finite and above 1.")
    return base
