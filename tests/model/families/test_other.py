"""The sizes in configs that only transformers supports, under the keys that they have there."""

from __future__ import annotations

import pytest

from pellucid.errors import InvalidModelError
from pellucid.model.config import Config
from pellucid.model.families.other import spec


def spec_of(**values):
    return spec(Config("config.json", {"model_type": "t5", "vocab_size": 9, **values}), "why not")


def test_the_keys_of_several_architectures_are_known():
    encoder = spec_of(d_model=16, n_layer=2, num_heads=4, n_ctx=40)
    assert (encoder.hidden_size, len(encoder.blocks), encoder.blocks[0].attention.heads, encoder.max_tokens) == (
        16,
        2,
        4,
        40,
    )
    assert (encoder.family, encoder.vocab_size, encoder.only_torch) == ("t5", 9, "why not")


def test_missing_sizes_are_one_or_unlimited():
    encoder = spec_of(hidden_size=16)
    assert (len(encoder.blocks), encoder.blocks[0].attention.heads, encoder.max_tokens) == (1, 1, 1 << 20)


def test_the_text_encoder_of_a_vision_language_model_is_in_a_section():
    assert spec_of(text_config={"vocab_size": 7, "hidden_size": 8}).vocab_size == 7


def test_a_config_without_a_hidden_size_is_refused():
    with pytest.raises(InvalidModelError, match="has none of the keys hidden_size, d_model, n_embd, dim"):
        spec_of(num_layers=2)
