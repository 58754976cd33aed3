"""RoBERTa (Liu et al., 2019), and XLM-RoBERTa and CamemBERT, which differ from it in their words alone.

BERT with positions counted by fairseq's rule. What their config.json calls ``max_position_embeddings`` are the rows of
the table, of which those up to the padding's are no positions.
"""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.spec import EncoderSpec

NAMES = dataclasses.replace(bert.NAMES, prefixes=("", "roberta."))


def spec(config: Config) -> EncoderSpec:
    """The shape of a RoBERTa encoder. Defaults are those of transformers' ``RobertaConfig``."""
    as_bert = bert.spec(config)
    return dataclasses.replace(
        as_bert,
        family=config.string("model_type"),
        embedding=dataclasses.replace(as_bert.embedding, padding_id=config.integer("pad_token_id", 1, least=0)),
    )
