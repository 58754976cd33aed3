from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert
from pellucid.model.spec import EncoderSpec
from tests.specs import encoder_spec

# config.json of all-MiniLM-L6-v2, only the keys that are read.
MINILM = {
    "hidden_act": "gelu",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 6,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": 30522,
}


def spec(**changes) -> EncoderSpec:
    return bert.spec(Config("m: config.json", MINILM | changes))


def test_the_config_of_minilm_is_this_spec():
    assert spec() == encoder_spec(
        "bert",
        vocab_size=30522,
        hidden_size=384,
        layers=6,
        heads=12,
        intermediate_size=1536,
        activation="gelu",
        layer_norm_eps=1e-12,
        positions=512,
        token_types=2,
    )
    assert (spec().blocks[0].attention.head_size, spec().max_tokens) == (32, 512)


def test_keys_that_transformers_leaves_out_have_their_defaults():
    config = {key: MINILM[key] for key in MINILM if "num" in key or ("size" in key and "type" not in key)}
    assert bert.spec(Config("m: config.json", config)) == spec()


@pytest.mark.parametrize(
    ("theirs", "ours"), [("gelu_new", "gelu_tanh"), ("gelu_pytorch_tanh", "gelu_tanh"), ("relu", "relu")]
)
def test_activations_get_our_names(theirs, ours):
    assert spec(hidden_act=theirs).blocks[0].feed_forward.activation == ours


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"hidden_act": "mish"}, UnsupportedModelError, "hidden_act 'mish' is not supported"),
        ({"position_embedding_type": "relative_key"}, UnsupportedModelError, "position_embedding_type 'relative_key'"),
        ({"is_decoder": True}, UnsupportedModelError, "decoders are not supported"),
        ({"num_attention_heads": 7}, InvalidModelError, "7 attention heads do not divide the hidden size 384"),
        ({"num_hidden_layers": 10**9}, InvalidModelError, "must be at most 10000"),
        ({"num_attention_heads": 0}, InvalidModelError, "'num_attention_heads' is 0, but must be at least 1"),
        ({"hidden_size": None}, InvalidModelError, "has no 'hidden_size'"),
        ({"vocab_size": "many"}, InvalidModelError, "'vocab_size' is 'many'"),
    ],
)
def test_an_unsupported_config_is_refused_with_a_reason(changes, kind, message):
    with pytest.raises(kind, match=message):
        spec(**changes)
