from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.layers.pooling import MODES, Pooling, pool
from pellucid.types import Float32

ROWS = np.array([[1, 5], [2, 0], [6, -2]], dtype=np.float32)
EXPECTED = {
    "cls": [1, 5],
    "max": [6, 5],
    "mean": [3, 1],
    "mean_sqrt_len_tokens": [9 / 3**0.5, 3 / 3**0.5],
    "weightedmean": [(1 + 4 + 18) / 6, (5 + 0 - 6) / 6],
    "lasttoken": [6, -2],
}
EXPECTED_WITHOUT_FIRST = {
    "cls": [2, 0],
    "max": [6, 0],
    "mean": [4, -1],
    "mean_sqrt_len_tokens": [8 / 2**0.5, -2 / 2**0.5],
    "weightedmean": [(4 + 18) / 5, -6 / 5],
    "lasttoken": [6, -2],
}


def pool_one(rows: Float32, pooling: Pooling, prompt_tokens: int = 0) -> Float32:
    return pool(rows, np.array([0, len(rows)], dtype=np.int32), pooling, prompt_tokens)[0]


def test_every_mode_has_expected_values():
    assert MODES.keys() == EXPECTED.keys() == EXPECTED_WITHOUT_FIRST.keys()


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_pools_by_its_formula(mode):
    np.testing.assert_allclose(pool_one(ROWS, Pooling((mode,))), EXPECTED[mode], rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_skipped_prompt_keeps_its_positions(mode):
    pooled = pool_one(ROWS, Pooling((mode,), include_prompt=False), prompt_tokens=1)
    np.testing.assert_allclose(pooled, EXPECTED_WITHOUT_FIRST[mode], rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_prompt_counts_unless_the_model_says_otherwise(mode):
    np.testing.assert_array_equal(pool_one(ROWS, Pooling((mode,)), 1), pool_one(ROWS, Pooling((mode,))))


@pytest.mark.parametrize("mode", MODES)
def test_without_a_prompt_nothing_is_skipped(mode):
    pooled = pool(ROWS, np.array([0, 3], dtype=np.int32), Pooling((mode,), include_prompt=False))
    np.testing.assert_allclose(pooled[0], EXPECTED[mode], rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_text_that_is_all_prompt_gives_zeros(mode):
    assert not pool_one(ROWS, Pooling((mode,), include_prompt=False), prompt_tokens=3).any()
    np.testing.assert_array_equal(
        pool_one(ROWS, Pooling((mode,), include_prompt=False), prompt_tokens=2) != 0, ROWS[2] != 0
    )


def test_several_modes_are_concatenated_in_order():
    pooled = pool_one(ROWS, Pooling(("max", "cls")))
    assert pooled.tolist() == [6, 5, 1, 5]


@pytest.mark.parametrize("mode", MODES)
def test_a_text_without_tokens_gives_zeros(mode):
    offsets = np.array([0, 0, 3, 3], dtype=np.int32)
    pooled = pool(ROWS, offsets, Pooling((mode,)))
    assert (pooled.shape, pooled.dtype) == ((3, 2), np.float32)
    assert not pooled[0].any()
    assert not pooled[2].any()
    np.testing.assert_array_equal(pooled[1], pool_one(ROWS, Pooling((mode,))))


@pytest.mark.parametrize("mode", MODES)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_a_text_is_pooled_to_the_same_bits_whatever_the_other_texts_are(mode, lengths, seed):
    vectors = np.random.default_rng(seed).standard_normal((sum(lengths), 5)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    together = pool(vectors, offsets, Pooling((mode,)))
    for text, (start, end) in enumerate(itertools.pairwise(offsets)):
        alone = pool_one(vectors[start:end].copy(), Pooling((mode,)))
        assert together[text].tobytes() == alone.tobytes()
