"""Llama (Touvron et al., 2023), and what the other decoders have in common with it.

That is: a root mean square norm before each sublayer, rotary positions, keys and values that several queries share, a
gated feed-forward network, and tokens that look only at those before them. As embedders, decoders give the vector of a
text's last token, or the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

from pellucid.errors import InvalidModelError
from pellucid.layers.rotary import Rotary
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.attention_types import read_rotary_of_model
from pellucid.model.families.names import HeadNames, OutputNames, TensorNames
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormPlaces,
    NormSpec,
)

PREFIXES = ("", "model.", "language_model.", "language_model.model.", "model.language_model.")
"""Those of the decoder alone, of a model that predicts text, and of models that see pictures too."""
NAMES = TensorNames(
    prefixes=PREFIXES,
    word="embed_tokens",
    position=None,
    token_type=None,
    embedding_norm=None,
    relative_bias=None,
    layer="layers.{}.",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    attention_output="self_attn.o_proj",
    attention_norm="input_layernorm",
    gate="mlp.gate_proj",
    intermediate="mlp.up_proj",
    output="mlp.down_proj",
    feed_forward_norm="post_attention_layernorm",
    final_norm="norm",
)
HEAD = HeadNames(dense=None, output="score", pooling="lasttoken")
OUTPUT = OutputNames()

_DEFAULTS = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "attention_bias": False,
    "mlp_bias": False,
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a Llama decoder. The defaults are those of transformers' ``LlamaConfig``."""
    config = config.with_defaults(_DEFAULTS)
    bias = config.flag("attention_bias")
    attention = read_attention(config, bias=bias, output_bias=bias)
    return decoder("llama", config, [attention] * bert.layer_count(config, "num_hidden_layers"))


def decoder(
    family: str,
    config: Config,
    attentions: Sequence[AttentionSpec],
    *,
    places: NormPlaces | None = None,
    activation_key: str = "hidden_act",
) -> EncoderSpec:
    """The shape of a decoder.

    Args:
        family: its family.
        config: its config.json, with all sizes.
        attentions: the attention of each layer.
        places: the norms around each sublayer; by default, one before it.
        activation_key: the key of config.json that names the activation of the feed-forward networks.
    """
    places = places or NormPlaces(before=read_norm_spec(config))
    feed_forward = FeedForwardSpec(
        config.size("intermediate_size"),
        bert.activation(config, activation_key, "silu"),
        gated=True,
        bias=config.flag("mlp_bias", False),
    )
    return EncoderSpec(
        family=family,
        hidden_size=config.size("hidden_size"),
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size"),
            positions=config.size("max_position_embeddings"),
            position_table=False,
            norm=None,
        ),
        blocks=tuple(BlockSpec(attention, feed_forward, places, places) for attention in attentions),
        final_norm=places.before,
    )


def read_norm_spec(config: Config, *, adds_one: bool = False) -> NormSpec:
    """The norm that a decoder has everywhere."""
    return NormSpec(config.number("rms_norm_eps", minimum=0, maximum=1), kind="rms", bias=False, adds_one=adds_one)


def read_attention(
    config: Config,
    *,
    bias: bool,
    output_bias: bool,
    rotary: Rotary | None = None,
    qk_norm: NormSpec | None = None,
) -> AttentionSpec:
    """The attention of a decoder without a window. ``is_causal`` in config.json can make it look both ways.

    Raises:
        InvalidModelError: the heads do not divide what they must, or their size is odd.
    """
    hidden, heads = config.size("hidden_size"), config.size("num_attention_heads")
    kv_heads = config.size("num_key_value_heads", heads)
    if config.values.get("head_dim") is None and hidden % heads:
        raise InvalidModelError(f"{config.where}: {heads} attention heads do not divide the hidden size {hidden}.")
    size = config.size("head_dim", hidden // heads)
    if size % 2:
        raise InvalidModelError(f"{config.where}: the head size is {size}, but rotary positions need an even one.")
    if heads % kv_heads:
        raise InvalidModelError(f"{config.where}: {kv_heads} key and value heads do not divide {heads} query heads.")
    return AttentionSpec(
        heads,
        size,
        kv_heads,
        bias=bias,
        output_bias=output_bias,
        after=0 if config.flag("is_causal", True) else None,
        rotary=rotary or read_rotary_of_model(config, 10_000.0, config.size("max_position_embeddings")),
        qk_norm=qk_norm,
    )
