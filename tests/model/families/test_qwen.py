"""Qwen2 and Qwen3: their biases, their norms, and which layers look at a window."""

from __future__ import annotations

import pytest

from pellucid.model.families import qwen2, qwen3
from pellucid.model.spec import NormSpec
from tests.model.families.test_llama import NORM, config

WINDOW = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}


def windows(spec) -> list[int | None]:
    return [block.attention.before for block in spec.blocks]


def test_qwen2_has_biases_of_queries_keys_and_values_alone():
    attention = qwen2.spec(config()).blocks[0].attention
    assert (attention.bias, attention.output_bias, attention.qk_norm) == (True, False, None)


def test_qwen3_has_norms_of_queries_and_keys_and_heads_of_128():
    attention = qwen3.spec(config()).blocks[0].attention
    assert (attention.bias, attention.output_bias, attention.qk_norm) == (False, False, NORM)
    assert (attention.head_size, attention.query_size) == (128, 512)
    assert qwen3.spec(config(rms_norm_eps=None)).final_norm == NormSpec(1e-6, kind="rms", bias=False)


@pytest.mark.parametrize("family", [qwen2, qwen3])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [None, None]),
        (WINDOW, [None, 7]),
        (WINDOW | {"max_window_layers": 0}, [7, 7]),
        (WINDOW | {"max_window_layers": 2}, [None, None]),
        (WINDOW | {"layer_types": ["sliding_attention", "full_attention"]}, [7, None]),
        (WINDOW | {"sliding_window": None}, [None, None]),
        (WINDOW | {"use_sliding_window": False}, [None, None]),
        ({"use_sliding_window": True, "max_window_layers": 0}, [4095, 4095]),
    ],
)
def test_windows(family, changes, expected):
    assert windows(family.spec(config(**changes))) == expected


def test_a_window_without_a_direction_is_on_both_sides():
    attention = qwen2.spec(config(**WINDOW, is_causal=False)).blocks[1].attention
    assert (attention.before, attention.after) == (8, 8)
