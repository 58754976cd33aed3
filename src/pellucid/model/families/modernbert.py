"""ModernBERT (Warner et al., 2024): pre-norm layers, rotary positions, and local attention in two layers of three."""

from __future__ import annotations

import dataclasses

from pellucid.errors import UnsupportedModelError
from pellucid.layers.rotary import Rotary
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.attention_types import read_layer_types, read_rotary, read_rotary_base
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
    window = config.size("local_attention", 128) // 2
    global_rotary = _read_rotary(config, "full_attention", "global", 160_000.0)
    local_rotary = _read_rotary(config, "sliding_attention", "local", 10_000.0)
    attentions = {
        "full_attention": bert.attention(config, hidden, heads, bias=bias, rotary=global_rotary),
        "sliding_attention": dataclasses.replace(
            bert.attention(config, hidden, heads, bias=bias, rotary=local_rotary),
            before=window,
            after=window,
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
    """The type of each layer's attention. The configs of the first models say that every n-th layer is global."""
    interval = config.size("global_attn_every_n_layers", 3, maximum=_MAX_GLOBAL_INTERVAL)
    default = ["sliding_attention" if number % interval else "full_attention" for number in range(layers)]
    return read_layer_types(config, default, supported)


def _read_rotary(config: Config, layer_type: str, old_prefix: str, default: float) -> Rotary:
    """The rotary positions of a type of attention: under its current key, or that of the first models."""
    if config.values.get("rope_scaling") is not None:
        raise UnsupportedModelError(f"{config.where}: rope_scaling is not supported.")
    parameters = config.section("rope_parameters").section(layer_type)
    base = read_rotary_base(config, f"{old_prefix}_rope_theta", default)
    return read_rotary(parameters, base, config.size("max_position_embeddings", 8192))
