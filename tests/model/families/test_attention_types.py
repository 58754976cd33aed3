"""What config.json says about rotary positions and windows."""

from __future__ import annotations

import math

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.rotary import LinearScaling, Llama3Scaling, Rotary, YarnScaling
from pellucid.model.config import Config
from pellucid.model.families.attention_types import (
    read_layer_types,
    read_rotary_of_model,
    read_window,
    with_window,
)
from pellucid.model.spec import AttentionSpec

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0}


def config(**values) -> Config:
    return Config("m: config.json", values)


def rotary(**values) -> Rotary:
    return read_rotary_of_model(config(**values), 10_000.0, 64)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Rotary(10_000.0)),
        ({"rope_theta": 500.0}, Rotary(500.0)),
        ({"rope_theta": 500.0, "rope_scaling": None}, Rotary(500.0)),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}, Rotary(7.0)),
        ({"rope_parameters": {"rope_theta": 7.0}, "rope_theta": 500.0}, Rotary(7.0)),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}}, Rotary(10_000.0)),
        ({"rope_scaling": {"type": "linear", "factor": 4}}, Rotary(10_000.0, LinearScaling(4.0))),
        ({"rope_scaling": {"rope_type": "linear", "factor": 4}}, Rotary(10_000.0, LinearScaling(4.0))),
        ({"rope_scaling": LLAMA3}, Rotary(10_000.0, Llama3Scaling(8.0, 1.0, 4.0, 64))),
        (
            {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 9}},
            Rotary(10_000.0, Llama3Scaling(8.0, 1.0, 4.0, 9)),
        ),
        ({"rope_scaling": YARN}, Rotary(10_000.0, YarnScaling(4.0, 64, 0.1 * math.log(4) + 1))),
        (
            {
                "rope_scaling": YARN | {"original_max_position_embeddings": 9, "attention_factor": 1.5},
                "original_max_position_embeddings": 20,
            },
            Rotary(10_000.0, YarnScaling(4.0, 20, 1.5)),
        ),
    ],
)
def test_rotary_positions(values, expected):
    assert rotary(**values) == expected


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"rope_scaling": {"type": "longrope"}}, UnsupportedModelError, "rope_type 'longrope' is not supported"),
        ({"rope_parameters": {"rope_type": "axial"}}, UnsupportedModelError, "Supported: default, dynamic, linear"),
        ({"partial_rotary_factor": 0.5}, UnsupportedModelError, "config.json: partial_rotary_factor must be 1"),
        (
            {"rope_parameters": {"partial_rotary_factor": 0.5}},
            UnsupportedModelError,
            "'rope_parameters': partial_rotary",
        ),
        ({"rope_scaling": {"type": "linear"}}, InvalidModelError, "'rope_scaling' has no 'factor'"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, InvalidModelError, "'factor' is 0.0, but must be"),
        ({"rope_scaling": LLAMA3 | {"low_freq_factor": 4.0}}, InvalidModelError, "low_freq_factor must be below"),
        ({"rope_theta": 1}, InvalidModelError, "'rope_theta' is 1.0, but must be finite and above 1"),
    ],
)
def test_what_is_refused(values, error, message):
    with pytest.raises(error, match=message):
        rotary(**values)


@pytest.mark.parametrize(
    ("values", "window"), [({}, 4096), ({"sliding_window": None}, None), ({"sliding_window": 7}, 7)]
)
def test_a_missing_window_is_the_default_and_null_is_none(values, window):
    assert read_window(config(**values), 4096) == window


def test_a_causal_window_counts_the_token_itself():
    causal, both = AttentionSpec(2, 4, 2, after=0), AttentionSpec(2, 4, 2)
    assert (with_window(causal, 3).before, with_window(causal, 3).after) == (2, 0)
    assert (with_window(both, 3).before, with_window(both, 3).after) == (3, 3)


@pytest.mark.parametrize("wrong", ["full", ["full"], ["full", "full", 3], ["full", "full", "round"]])
def test_layer_types_must_name_a_type_for_each_layer(wrong):
    with pytest.raises(InvalidModelError, match="layer_types must list one type for each of the 3 layers"):
        read_layer_types(config(layer_types=wrong), ["full"] * 3, ("full", "local"))
