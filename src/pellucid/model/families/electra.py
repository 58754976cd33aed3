"""ELECTRA (Clark et al., 2020): BERT whose embeddings may be shorter than its token vectors."""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames
from pellucid.model.spec import EncoderSpec

NAMES = dataclasses.replace(bert.NAMES, prefixes=("", "electra."), embedding_projection="embeddings_project")
HEAD = HeadNames("classifier.dense", "classifier.out_proj", activation="gelu")


def spec(config: Config) -> EncoderSpec:
    """The shape of an ELECTRA encoder. The defaults are those of transformers' ``ElectraConfig``."""
    found = bert.spec(config)
    size = bert.embedding_size(config, found.hidden_size)
    embedding = dataclasses.replace(found.embedding, size=None if size == found.hidden_size else size)
    return dataclasses.replace(found, family="electra", embedding=embedding)
