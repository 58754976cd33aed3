"""BERT (Devlin et al., 2018), with the config.json and the tensor names that transformers' ``BertModel`` writes."""

from __future__ import annotations

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.rotary import Rotary
from pellucid.model.config import Config
from pellucid.model.families.names import HeadNames, TensorNames, VocabularyNames
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormPlaces,
    NormSpec,
)

NAMES = TensorNames(
    prefixes=("", "bert."),
    word="embeddings.word_embeddings",
    position="embeddings.position_embeddings",
    token_type="embeddings.token_type_embeddings",
    embedding_norm="embeddings.LayerNorm",
    relative_bias=None,
    layer="encoder.layer.{}.",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    gate=None,
    intermediate="intermediate.dense",
    output="output.dense",
    feed_forward_norm="output.LayerNorm",
    final_norm=None,
)

HEAD = HeadNames("bert.pooler.dense", "classifier")
VOCABULARY = VocabularyNames(
    dense="cls.predictions.transform.dense",
    norm="cls.predictions.transform.LayerNorm",
    decoder="cls.predictions.decoder",
    bias="cls.predictions.bias",
)

MAX_LAYERS = 10_000  # Far more than any model has. A false number in a config must not fill the memory.
_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a BERT encoder. The defaults are those of transformers' ``BertConfig``."""
    if (kind := config.string("position_embedding_type", "absolute")) != "absolute":
        raise UnsupportedModelError(f"{config.where}: position_embedding_type {kind!r:.80} is not supported.")
    if config.flag("is_decoder", False):
        raise UnsupportedModelError(f"{config.where}: is_decoder is true, but decoders are not supported.")
    hidden, norm = config.size("hidden_size"), NormSpec(config.number("layer_norm_eps", 1e-12, minimum=0, maximum=1))
    return EncoderSpec(
        family="bert",
        hidden_size=hidden,
        embedding=EmbeddingSpec(
            vocab_size=config.size("vocab_size"),
            positions=config.size("max_position_embeddings", 512),
            token_types=config.integer("type_vocab_size", 2, minimum=0),
            norm=norm,
        ),
        blocks=blocks(
            layer_count(config, "num_hidden_layers"),
            attention(config, hidden, config.size("num_attention_heads")),
            FeedForwardSpec(config.size("intermediate_size"), activation(config, "hidden_act")),
            norm,
        ),
    )


def blocks(
    count: int, attention: AttentionSpec, feed_forward: FeedForwardSpec, norm: NormSpec
) -> tuple[BlockSpec, ...]:
    """The layers of a BERT-like encoder, with a norm after each sum."""
    places = NormPlaces(sum=norm)
    return (BlockSpec(attention, feed_forward, places, places),) * count


def layer_count(config: Config, key: str, default: int | None = None) -> int:
    """The number of layers."""
    if default is None:
        return config.size(key, maximum=MAX_LAYERS)
    return config.size(key, default, maximum=MAX_LAYERS)


def attention(
    config: Config, hidden: int, heads: int, *, bias: bool = True, rotary: Rotary | None = None
) -> AttentionSpec:
    """Attention whose heads together are as wide as the hidden size.

    Raises:
        InvalidModelError: the heads do not divide the hidden size, or their size is odd and positions are rotary.
    """
    if hidden % heads:
        raise InvalidModelError(f"{config.where}: {heads} attention heads do not divide the hidden size {hidden}.")
    size = hidden // heads
    if rotary is not None and size % 2:
        raise InvalidModelError(f"{config.where}: the head size is {size}, but rotary positions need an even one.")
    return AttentionSpec(heads, size, heads, bias=bias, rotary=rotary)


def embedding_size(config: Config, hidden: int) -> int:
    """The length of the embeddings' rows in a family that has a linear layer after them."""
    size = config.size("embedding_size", 128)
    if size > hidden:
        raise UnsupportedModelError(
            f"{config.where}: embedding_size {size} is larger than the hidden size {hidden}, which is not supported."
        )
    return size


def activation(config: Config, key: str, default: str = "gelu") -> str:
    """The activation in the config's ``key``, by Pellucid's own name."""
    name = config.string(key, default)
    if name not in _ACTIVATIONS:
        raise UnsupportedModelError(
            f"{config.where}: {key} {name!r:.80} is not supported. Supported: {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[name]
