"""ELECTRA (Clark et al., 2020): BERT whose embeddings may be shorter than its token vectors."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames, VocabularyNames
from pellucid.model.spec import EncoderSpec

NAMES = dataclasses.replace(bert.NAMES, prefixes=("", "electra."), embedding_projection="embeddings_project")
HEAD = HeadNames("classifier.dense", "classifier.out_proj", activation="gelu")
VOCABULARY = VocabularyNames(
    dense="generator_predictions.dense",
    norm="generator_predictions.LayerNorm",
    decoder="generator_lm_head",
    bias="generator_lm_head.bias",
    activation="gelu",
)
_DEFAULTS = {
    "vocab_size": 30522,
    "embedding_size": 128,
    "hidden_size": 256,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "hidden_act": "gelu",
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
"""Those of transformers' ``ElectraConfig``."""


def spec(config: Config) -> EncoderSpec:
    """The shape of an ELECTRA encoder."""
    config = config.with_defaults(_DEFAULTS)
    found = bert.spec(config)
    size = bert.embedding_size(config, found.hidden_size)
    embedding = dataclasses.replace(found.embedding, size=None if size == found.hidden_size else size)
    return dataclasses.replace(found, family="electra", embedding=embedding)
