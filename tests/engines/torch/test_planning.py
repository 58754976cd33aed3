from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.torch.planning import (
    FEWEST_TOKENS_IN_STEP,
    MOST_TOKENS_IN_STEP,
    end_of_step,
    longest_first,
    tokens_in_cache,
    widest_layer,
)
from pellucid.model.spec import AttentionSpec, BlockSpec, EmbeddingSpec, EncoderSpec, FeedForwardSpec, NormPlaces

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=60).map(
    lambda lengths: np.array(sorted(lengths, reverse=True), dtype=np.int32)
)


def plan_steps(lengths, max_tokens, min_length_ratio):
    start = 0
    while start < len(lengths):
        stop = end_of_step(lengths, start, max_tokens, min_length_ratio)
        yield lengths[start:stop]
        start = stop


@given(LENGTHS, st.integers(1, 200), st.sampled_from([0.0, 0.5, 0.875, 1.0]))
def test_every_text_is_in_one_step_and_no_step_is_too_large_or_too_uneven(lengths, max_tokens, min_length_ratio):
    planned = list(plan_steps(lengths, max_tokens, min_length_ratio))
    assert np.concatenate(planned).tolist() == lengths.tolist()
    for step in planned:
        assert len(step) == 1 or len(step) * step[0] <= max_tokens
        assert step[-1] >= min_length_ratio * step[0]


@given(LENGTHS, st.integers(1, 200), st.sampled_from([0.0, 0.5, 1.0]))
def test_no_step_has_room_for_the_next_text(lengths, max_tokens, min_length_ratio):
    start = 0
    while start < len(lengths):
        stop = end_of_step(lengths, start, max_tokens, min_length_ratio)
        if stop < len(lengths):
            too_large = (stop + 1 - start) * lengths[start] > max_tokens
            assert too_large or lengths[stop] < min_length_ratio * lengths[start]
        start = stop


@given(st.lists(st.integers(0, 9), max_size=30))
def test_texts_without_tokens_are_left_out_and_texts_of_equal_length_keep_their_order(lengths):
    expected = sorted((i for i, n in enumerate(lengths) if n), key=lambda i: (-lengths[i], i))
    assert longest_first(np.array(lengths, dtype=np.int32)).tolist() == expected


@given(st.integers(0, 1 << 30), st.integers(1, 1 << 20))
def test_a_step_fits_into_the_cache_unless_it_would_be_very_small(cache, bytes_per_token):
    tokens = tokens_in_cache(cache, bytes_per_token)
    assert FEWEST_TOKENS_IN_STEP <= tokens <= MOST_TOKENS_IN_STEP
    assert tokens * bytes_per_token <= cache or tokens == FEWEST_TOKENS_IN_STEP
    assert (tokens + 1) * bytes_per_token > cache or tokens == MOST_TOKENS_IN_STEP


@pytest.mark.parametrize(
    ("heads", "kv_heads", "size", "gated", "expected"),
    [(12, 12, 1536, False, 1536), (12, 12, 1024, False, 1152), (12, 12, 1024, True, 2048), (12, 2, 500, False, 512)],
)
def test_the_widest_layer(heads, kv_heads, size, gated, expected):
    block = BlockSpec(
        AttentionSpec(heads, 32, kv_heads), FeedForwardSpec(size, "gelu", gated), NormPlaces(), NormPlaces()
    )
    assert widest_layer(EncoderSpec("bert", 384, EmbeddingSpec(100, 512, norm=None), (block,))) == expected
