"""ALBERT (Lan et al., 2019): BERT with short embeddings, whose layers share their weights."""

from __future__ import annotations

import dataclasses

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames, VocabularyNames
from pellucid.model.spec import EncoderSpec

NAMES = dataclasses.replace(
    bert.NAMES,
    prefixes=("", "albert."),
    layer="encoder.albert_layer_groups.{}.albert_layers.0.",
    query="attention.query",
    key="attention.key",
    value="attention.value",
    attention_output="attention.dense",
    attention_norm="attention.LayerNorm",
    intermediate="ffn",
    output="ffn_output",
    feed_forward_norm="full_layer_layer_norm",
    embedding_projection="encoder.embedding_hidden_mapping_in",
)
HEAD = HeadNames("albert.pooler", "classifier")
VOCABULARY = VocabularyNames(
    dense="predictions.dense", norm="predictions.LayerNorm", decoder="predictions.decoder", bias="predictions.bias"
)
_DEFAULTS = {
    "vocab_size": 30000,
    "embedding_size": 128,
    "hidden_size": 4096,
    "num_hidden_layers": 12,
    "num_attention_heads": 64,
    "intermediate_size": 16384,
    "hidden_act": "gelu_new",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
"""Those of transformers' ``AlbertConfig``."""


def spec(config: Config) -> EncoderSpec:
    """The shape of an ALBERT encoder."""
    config = config.with_defaults(_DEFAULTS)
    if (inner := config.size("inner_group_num", 1)) != 1:
        raise UnsupportedModelError(f"{config.where}: inner_group_num is {inner}; only 1 is supported.")
    found = bert.spec(config)
    layers, groups = len(found.blocks), config.size("num_hidden_groups", 1)
    embedding = dataclasses.replace(found.embedding, size=bert.embedding_size(config, found.hidden_size))
    # The same arithmetic as in transformers: the division is one of floating-point numbers.
    shared = tuple(int(number / (layers / groups)) for number in range(layers))
    return dataclasses.replace(found, family="albert", embedding=embedding, shared_layers=shared)
