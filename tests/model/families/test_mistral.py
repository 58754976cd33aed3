from __future__ import annotations

import pytest

from pellucid.model.config import Config
from pellucid.model.families import mistral
from tests.model.families.test_llama import config


@pytest.mark.parametrize(
    ("changes", "expected"), [({}, 4095), ({"sliding_window": None}, None), ({"sliding_window": 8}, 7)]
)
def test_all_layers_have_the_window(changes, expected):
    spec = mistral.spec(config(**changes))
    assert [block.attention.before for block in spec.blocks] == [expected] * 2
    assert (spec.family, spec.blocks[0].attention.after) == ("mistral", 0)


def test_missing_key_and_value_heads_are_8_and_null_is_one_for_each_query_head():
    assert mistral.spec(Config("m", {})).blocks[0].attention.kv_heads == 8
    assert mistral.spec(Config("m", {"num_key_value_heads": None})).blocks[0].attention.kv_heads == 32
