from __future__ import annotations

from pellucid.model.config import Config
from pellucid.model.families import electra
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of google/electra-small-discriminator, only the keys that are read.
SMALL = {
    "embedding_size": 128,
    "hidden_act": "gelu",
    "hidden_size": 256,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 12,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
SPEC = {
    "vocab_size": 30522,
    "hidden_size": 256,
    "layers": 12,
    "heads": 4,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-12,
    "positions": 512,
    "token_types": 2,
}


def spec(**changes) -> EncoderSpec:
    return electra.spec(Config("m: config.json", SMALL | changes))


def test_the_config_of_electra_small_is_this_spec():
    assert spec() == encoder_spec("electra", **SPEC, embedding_size=128)


def test_embeddings_of_the_hidden_size_need_no_linear_layer():
    assert spec(embedding_size=256) == encoder_spec("electra", **SPEC)


def test_a_config_without_the_size_has_the_default_of_transformers():
    config = {key: value for key, value in SMALL.items() if key != "embedding_size"}
    assert electra.spec(Config("m: config.json", config)).embedding.size == 128
