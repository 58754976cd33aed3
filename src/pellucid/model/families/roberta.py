"""RoBERTa (Liu et al., 2019), XLM-RoBERTa and CamemBERT, which differ only in their vocabularies.

They are BERT with fairseq's rule for positions. ``max_position_embeddings`` in config.json is the number of rows in the
position table. The rows up to and including the padding token's are not available as positions.
"""

from __future__ import annotations

import dataclasses

from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.families.names import HeadNames, VocabularyNames
from pellucid.model.spec import EncoderSpec

NAMES = dataclasses.replace(bert.NAMES, prefixes=("", "roberta."))
HEAD = HeadNames("classifier.dense", "classifier.out_proj")
VOCABULARY = VocabularyNames(
    dense="lm_head.dense", norm="lm_head.layer_norm", decoder="lm_head.decoder", bias="lm_head.bias", activation="gelu"
)


def spec(config: Config) -> EncoderSpec:
    """The shape of a RoBERTa encoder. The defaults are those of transformers' ``RobertaConfig``."""
    bert_spec = bert.spec(config)
    return dataclasses.replace(
        bert_spec,
        family=config.string("model_type"),
        embedding=dataclasses.replace(bert_spec.embedding, padding_id=config.integer("pad_token_id", 1, minimum=0)),
    )
