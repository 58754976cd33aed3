"""BERT (Devlin et al., 2018): config.json and tensor names as transformers' ``BertModel`` writes them."""

from __future__ import annotations

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families.names import TensorNames
from pellucid.model.spec import EncoderSpec

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

_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
}


def spec(config: Config) -> EncoderSpec:
    """The shape of a BERT encoder. Defaults are those of transformers' ``BertConfig``."""
    if (kind := config.string("position_embedding_type", "absolute")) != "absolute":
        raise UnsupportedModelError(f"{config.where}: position_embedding_type {kind!r:.80} is not supported.")
    if config.flag("is_decoder", False):
        raise UnsupportedModelError(f"{config.where}: a decoder (is_decoder) is not supported.")
    return EncoderSpec(
        family="bert",
        vocab_size=config.size("vocab_size"),
        hidden_size=config.size("hidden_size"),
        layers=config.size("num_hidden_layers"),
        heads=config.size("num_attention_heads"),
        intermediate_size=config.size("intermediate_size"),
        activation=activation(config, "hidden_act"),
        layer_norm_eps=config.number("layer_norm_eps", 1e-12, least=0, most=1),
        positions=config.size("max_position_embeddings", 512),
        token_types=config.size("type_vocab_size", 2),
    )


def activation(config: Config, key: str, default: str = "gelu") -> str:
    """Our name for the activation that ``key`` names."""
    name = config.string(key, default)
    if name not in _ACTIVATIONS:
        raise UnsupportedModelError(
            f"{config.where}: {key} {name!r:.80} is not supported. Supported: {', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[name]
