from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config
from pellucid.model.families import FAMILIES, roberta
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of all-distilroberta-v1, only the keys that are read.
DISTILROBERTA = {
    "hidden_act": "gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "model_type": "roberta",
    "num_attention_heads": 12,
    "num_hidden_layers": 6,
    "pad_token_id": 1,
    "position_embedding_type": "absolute",
    "type_vocab_size": 1,
    "vocab_size": 50265,
}


def spec(**changes) -> EncoderSpec:
    return roberta.spec(Config("m: config.json", DISTILROBERTA | changes))


def test_the_config_of_distilroberta_is_this_spec():
    assert spec() == encoder_spec(
        "roberta",
        vocab_size=50265,
        hidden_size=768,
        layers=6,
        heads=12,
        intermediate_size=3072,
        activation="gelu",
        layer_norm_eps=1e-5,
        positions=514,
        padding_id=1,
        token_types=1,
    )


def test_rows_up_to_the_padding_tokens_are_not_positions():
    assert spec().max_tokens == 512
    assert spec(pad_token_id=0).max_tokens == 513


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "camembert"])
def test_related_families_are_read_in_the_same_way(name):
    config = Config("m: config.json", DISTILROBERTA | {"model_type": name})
    assert FAMILIES[name].spec(config).embedding.padding_id == 1
    assert FAMILIES[name].spec(config).family == name


def test_a_negative_padding_id_is_refused():
    with pytest.raises(InvalidModelError, match="'pad_token_id' is -1, but must be at least 0"):
        spec(pad_token_id=-1)
