from __future__ import annotations

import pytest

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import mpnet
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of all-mpnet-base-v2, only the keys that are read.
MPNET = {
    "hidden_act": "gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "relative_attention_num_buckets": 32,
    "vocab_size": 30527,
}


def spec(**changes) -> EncoderSpec:
    return mpnet.spec(Config("m: config.json", MPNET | changes))


def test_the_config_of_all_mpnet_base_v2_is_this_spec():
    assert spec() == encoder_spec(
        "mpnet",
        vocab_size=30527,
        hidden_size=768,
        layers=12,
        heads=12,
        intermediate_size=3072,
        activation="gelu",
        layer_norm_eps=1e-5,
        positions=514,
        padding_id=1,
        token_types=0,
        relative_buckets=32,
    )


def test_padding_takes_two_positions():
    assert spec().max_tokens == 512


def test_another_number_of_buckets_is_refused():
    with pytest.raises(UnsupportedModelError, match="relative_attention_num_buckets is 16; only 32"):
        spec(relative_attention_num_buckets=16)
