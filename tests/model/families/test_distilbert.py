from __future__ import annotations

import pytest

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import distilbert
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of msmarco-distilbert-base-v4, only the keys that are read.
MSMARCO = {
    "activation": "gelu",
    "dim": 768,
    "hidden_dim": 3072,
    "max_position_embeddings": 512,
    "n_heads": 12,
    "n_layers": 6,
    "sinusoidal_pos_embds": False,
    "vocab_size": 30522,
}


def spec(**changes) -> EncoderSpec:
    return distilbert.spec(Config("m: config.json", MSMARCO | changes))


def test_the_config_of_msmarco_distilbert_is_this_spec():
    assert spec() == encoder_spec(
        "distilbert",
        vocab_size=30522,
        hidden_size=768,
        layers=6,
        heads=12,
        intermediate_size=3072,
        activation="gelu",
        layer_norm_eps=1e-12,
        positions=512,
    )


def test_the_origin_of_the_position_table_does_not_matter():
    assert spec(sinusoidal_pos_embds=True) == spec()


def test_the_error_for_an_unknown_activation_names_the_key():
    with pytest.raises(UnsupportedModelError, match="activation 'mish' is not supported"):
        spec(activation="mish")
