from __future__ import annotations

import pytest

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import albert
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of albert-base-v2, only the keys that are read.
BASE = {
    "embedding_size": 128,
    "hidden_act": "gelu_new",
    "hidden_size": 768,
    "inner_group_num": 1,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_groups": 1,
    "num_hidden_layers": 12,
    "type_vocab_size": 2,
    "vocab_size": 30000,
}


def spec(**changes) -> EncoderSpec:
    return albert.spec(Config("m: config.json", BASE | changes))


def test_the_config_of_albert_base_is_this_spec():
    assert spec() == encoder_spec(
        "albert",
        vocab_size=30000,
        hidden_size=768,
        layers=12,
        heads=12,
        intermediate_size=3072,
        activation="gelu_tanh",
        layer_norm_eps=1e-12,
        positions=512,
        token_types=2,
        embedding_size=128,
        shared_layers=(0,) * 12,
    )


def test_a_config_without_an_activation_has_the_default_of_transformers():
    assert spec(hidden_act=None) == spec()


def test_there_is_a_linear_layer_after_embeddings_of_any_size():
    assert spec(embedding_size=768).embedding.size == 768


@pytest.mark.parametrize(
    ("groups", "layers", "expected"), [(2, 4, (0, 0, 1, 1)), (3, 3, (0, 1, 2)), (2, 3, (0, 0, 1)), (3, 4, (0, 0, 1, 2))]
)
def test_layers_share_the_weights_of_their_group(groups, layers, expected):
    assert spec(num_hidden_groups=groups, num_hidden_layers=layers).stored_layers == expected


def test_groups_of_several_layers_are_refused():
    with pytest.raises(UnsupportedModelError, match="inner_group_num is 2; only 1 is supported"):
        spec(inner_group_num=2)
