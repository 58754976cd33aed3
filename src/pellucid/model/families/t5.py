"""T5's encoder (Raffel et al., 2020), which sentence-t5, GTR and INSTRUCTOR make vectors with.

It has a root mean square norm before each sublayer, no biases, and no positions. Instead, a bias that depends on the
distance of two tokens is added to their attention score, which is not scaled. The first layer stores that bias, and all
layers share it. If the files have T5's decoder too, it is not read.
"""

from __future__ import annotations

import dataclasses

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import TensorNames
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormPlaces,
    NormSpec,
    RelativeBiasSpec,
)

MAX_TOKENS = 32_768
"""The most tokens of a text, if no other file of the model says.

T5 itself has no limit, but the engines keep a bias for each distance. The files of known models say 256 or 512."""

_PLAIN = TensorNames(
    prefixes=("", "transformer."),
    word="shared",
    position=None,
    token_type=None,
    embedding_norm=None,
    relative_bias="encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    layer="encoder.block.{}.",
    query="layer.0.SelfAttention.q",
    key="layer.0.SelfAttention.k",
    value="layer.0.SelfAttention.v",
    attention_output="layer.0.SelfAttention.o",
    attention_norm="layer.0.layer_norm",
    gate=None,
    intermediate="layer.1.DenseReluDense.wi",
    output="layer.1.DenseReluDense.wo",
    feed_forward_norm="layer.1.layer_norm",
    final_norm="encoder.final_layer_norm",
)
_GATED = dataclasses.replace(_PLAIN, gate="layer.1.DenseReluDense.wi_0", intermediate="layer.1.DenseReluDense.wi_1")
# Files may have the table of token vectors under one of two names, or under both: it is the same table.
NAMES = tuple(
    dataclasses.replace(names, word=word) for word in ("shared", "encoder.embed_tokens") for names in (_PLAIN, _GATED)
)

_DEFAULTS = {
    "vocab_size": 32_128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 2048,
    "num_layers": 6,
    "num_heads": 8,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
    "is_decoder": False,
}
# The activation, and whether the network is gated.
_FEED_FORWARDS = {
    "relu": ("relu", False),
    "gelu": ("gelu", False),
    "silu": ("silu", False),
    "gated-relu": ("relu", True),
    "gated-gelu": ("gelu_tanh", True),  # transformers turns this one name into gelu_new.
    "gated-silu": ("silu", True),
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a T5 encoder. The defaults are those of transformers' ``T5Config``."""
    config = config.with_defaults(_DEFAULTS)
    if config.flag("is_decoder"):
        raise UnsupportedModelError(f"{config.where}: is_decoder is true, but of T5, only the encoder is supported.")
    norm = NormSpec(config.number("layer_norm_epsilon", minimum=0, maximum=1), kind="rms", bias=False)
    heads, buckets = config.size("num_heads"), config.integer("relative_attention_num_buckets", minimum=4)
    block = BlockSpec(
        AttentionSpec(heads, config.size("d_kv"), heads, bias=False, scale=1.0),
        _read_feed_forward(config),
        NormPlaces(before=norm),
        NormPlaces(before=norm),
    )
    return EncoderSpec(
        family="t5",
        hidden_size=config.size("d_model"),
        embedding=EmbeddingSpec(config.size("vocab_size"), positions=MAX_TOKENS, position_table=False, norm=None),
        blocks=(block,) * bert.layer_count(config, "num_layers"),
        final_norm=norm,
        # A quarter of the buckets is for one distance each, and the longest distance must be above those.
        relative_bias=RelativeBiasSpec(
            buckets, config.integer("relative_attention_max_distance", minimum=buckets // 4 + 1)
        ),
    )


def _read_feed_forward(config: Config) -> FeedForwardSpec:
    name = config.string("feed_forward_proj")
    if name not in _FEED_FORWARDS:
        raise UnsupportedModelError(
            f"{config.where}: feed_forward_proj {name!r:.80} is not supported. Supported: {', '.join(_FEED_FORWARDS)}."
        )
    activation, gated = _FEED_FORWARDS[name]
    return FeedForwardSpec(config.size("d_ff"), activation, gated=gated, bias=False)
