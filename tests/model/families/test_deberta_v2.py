from __future__ import annotations

from dataclasses import replace

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import deberta_v2
from pellucid.model.spec import DisentangledSpec, EncoderSpec, NormSpec
from tests.specs import encoder_spec

# config.json of microsoft/deberta-v3-base, only the keys that are read.
V3_BASE = {
    "hidden_act": "gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-7,
    "max_position_embeddings": 512,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
    "position_buckets": 256,
    "relative_attention": True,
    "share_att_key": True,
    "type_vocab_size": 0,
    "vocab_size": 128100,
}
PLACES = DisentangledSpec(
    span=256,
    buckets=256,
    max_distance=512,
    query_to_position=True,
    key_to_position=True,
    shared=True,
    norm=NormSpec(1e-7),
)


def spec(**changes) -> EncoderSpec:
    return deberta_v2.spec(Config("m: config.json", V3_BASE | changes))


def test_the_config_of_deberta_v3_base_is_this_spec():
    expected = encoder_spec(
        "deberta-v2",
        vocab_size=128100,
        hidden_size=768,
        layers=12,
        heads=12,
        intermediate_size=3072,
        layer_norm_eps=1e-7,
        positions=512,
        disentangled=PLACES,
    )
    assert spec() == replace(expected, embedding=replace(expected.embedding, position_table=False))


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"pos_att_type": ["c2p", "p2c"]}, {}),
        ({"pos_att_type": "c2p"}, {"key_to_position": False}),
        ({"pos_att_type": "p2c"}, {"query_to_position": False}),
        ({"share_att_key": False}, {"shared": False}),
        ({"norm_rel_ebd": "none"}, {"norm": None}),
        ({"position_buckets": -1}, {"span": 512, "buckets": None}),
        ({"position_buckets": -1, "max_relative_positions": 128}, {"span": 128, "buckets": None, "max_distance": 128}),
        ({"max_relative_positions": 1024}, {"max_distance": 1024}),
    ],
)
def test_how_scores_depend_on_positions(changes, places):
    assert spec(**changes).disentangled == replace(PLACES, **places)


@pytest.mark.parametrize("changes", [{"relative_attention": False}, {"pos_att_type": None}, {"pos_att_type": []}])
def test_scores_need_not_depend_on_positions(changes):
    assert spec(**changes).disentangled is None


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"conv_kernel_size": 3}, UnsupportedModelError, "conv_kernel_size above 0"),
        ({"pos_att_type": "p2p"}, UnsupportedModelError, "pos_att_type .*p2p"),
        ({"pos_att_type": 3}, UnsupportedModelError, "pos_att_type 3"),
        ({"embedding_size": 128}, UnsupportedModelError, "embedding_size 128 is not the hidden size"),
        ({"position_buckets": 100_000}, InvalidModelError, "100,000 relative positions"),
        ({"max_position_embeddings": 10**9}, InvalidModelError, "1,000,000,000 relative positions"),
        ({"position_buckets": 1}, InvalidModelError, "position_buckets 1 does not go with"),
        ({"position_buckets": 8, "max_relative_positions": 5}, InvalidModelError, "position_buckets 8 does not go"),
    ],
)
def test_an_unsupported_config_is_refused_with_a_reason(changes, kind, message):
    with pytest.raises(kind, match=message):
        spec(**changes)
