"""What is read of a config that only transformers knows, by whatever name it has there."""

from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config
from pellucid.model.families.other import spec


def of(**values):
    return spec(Config("config.json", {"model_type": "t5", "vocab_size": 9, **values}), "why not")


def test_the_names_of_several_architectures_are_known():
    found = of(d_model=16, n_layer=2, num_heads=4, n_ctx=40)
    assert (found.hidden_size, len(found.blocks), found.blocks[0].attention.heads, found.max_tokens) == (16, 2, 4, 40)
    assert (found.family, found.vocab_size, found.only_torch) == ("t5", 9, "why not")


def test_what_is_not_said_is_one_or_no_limit():
    found = of(hidden_size=16)
    assert (len(found.blocks), found.blocks[0].attention.heads, found.max_tokens) == (1, 1, 1 << 20)


def test_a_model_that_also_sees_has_the_part_that_reads_in_a_section():
    assert of(text_config={"vocab_size": 7, "hidden_size": 8}).vocab_size == 7


def test_without_a_hidden_size_it_is_refused():
    with pytest.raises(InvalidModelError, match="has none of hidden_size, d_model, n_embd, dim"):
        of(num_layers=2)
