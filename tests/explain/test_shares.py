"""Each token's part of a vector, checked by hand and against the pooling and the modules themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.explain.shares import token_parts, why_no_parts
from pellucid.layers.dense import Dense
from pellucid.layers.finish import Pool
from pellucid.layers.norms import LayerNorm, Normalize
from pellucid.layers.pooling import MODES, Pooling
from pellucid.types import TokenBatch

ROWS = np.array([[1, 5], [2, 0], [6, -2]], dtype=np.float32)
LINEAR = ("mean", "mean_sqrt_len_tokens", "weightedmean")


def finish_of(modes=("mean",), modules=(), *, include_prompt=True, prompt_tokens=0) -> Pool:
    return Pool(Pooling(modes, include_prompt), modules, prompt_tokens)


@pytest.mark.parametrize(
    ("mode", "weights", "without_the_first"),
    [
        ("mean", [1 / 3, 1 / 3, 1 / 3], [0, 1 / 2, 1 / 2]),
        ("mean_sqrt_len_tokens", [3**-0.5] * 3, [0, 2**-0.5, 2**-0.5]),
        ("weightedmean", [1 / 6, 2 / 6, 3 / 6], [0, 2 / 5, 3 / 5]),
    ],
)
def test_a_part_is_the_tokens_vector_times_its_weight(mode, weights, without_the_first):
    found = token_parts(ROWS, finish_of((mode,), prompt_tokens=1))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.array(weights)[:, None] * ROWS, rtol=1e-15)
    found = token_parts(ROWS, finish_of((mode,), include_prompt=False, prompt_tokens=1))
    np.testing.assert_allclose(found, np.array(without_the_first)[:, None] * ROWS, rtol=1e-15)


def test_without_a_prompt_all_tokens_count():
    np.testing.assert_allclose(token_parts(ROWS, finish_of(include_prompt=False)), ROWS / 3, rtol=1e-6)


def test_the_parts_of_several_modes_are_concatenated():
    found = token_parts(ROWS, finish_of(("weightedmean", "mean")))
    np.testing.assert_array_equal(
        found, np.hstack([token_parts(ROWS, finish_of((mode,))) for mode in ("weightedmean", "mean")])
    )


def test_a_bias_is_shared_evenly_among_the_tokens_that_count():
    bias = np.array([6, -3], dtype=np.float32)
    head = (Dense(np.zeros((2, 2), dtype=np.float32), bias, "identity"),)
    assert token_parts(ROWS, finish_of(modules=head)).tolist() == [[2, -1]] * 3
    found = token_parts(ROWS, finish_of(modules=head, include_prompt=False, prompt_tokens=1))
    assert found.tolist() == [[0, 0], [3, -1.5], [3, -1.5]]


@pytest.mark.parametrize("prompt_tokens", [3, 4])
def test_where_no_token_counts_all_share_the_bias(prompt_tokens):
    head = (Dense(np.eye(2, dtype=np.float32), np.array([6, -3], dtype=np.float32), "identity"),)
    found = token_parts(ROWS, finish_of(modules=head, include_prompt=False, prompt_tokens=prompt_tokens))
    np.testing.assert_allclose(found, [[2, -1]] * 3, rtol=1e-15)


def test_a_layer_norm_centres_each_part_and_divides_by_the_deviation_of_the_whole():
    norm = LayerNorm(np.array([2, 1], dtype=np.float32), np.array([3, 6], dtype=np.float32), eps=0.0)
    found = token_parts(ROWS[:2], finish_of(modules=(norm,)))
    # The whole is (1.5, 2.5): its deviation is 0.5. Of the parts (0.5, 2.5) and (1, 0), the means are 1.5 and 0.5.
    np.testing.assert_allclose(found, [[-4 + 1.5, 2 + 3], [2 + 1.5, -1 + 3]], rtol=1e-12)


def test_unit_length_divides_each_part_by_the_length_of_the_whole():
    found = token_parts(np.array([[6, 0], [0, 8]], dtype=np.float32), finish_of(modules=(Normalize(),)))
    np.testing.assert_allclose(found, [[0.6, 0], [0, 0.8]], rtol=1e-15)
    small = np.array([[6e-6, 0], [0, 8e-6]], dtype=np.float32)
    np.testing.assert_allclose(token_parts(small, finish_of(modules=(Normalize(),))), [[0.6, 0], [0, 0.8]], rtol=1e-6)
    nothing = np.array([[1, 1], [-1, -1]], dtype=np.float32)
    assert np.isfinite(token_parts(nothing, finish_of(modules=(Normalize(),)))).all()


def random_numbers(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def heads(rng):
    """Modules after the pooling: none, then one more each time."""
    dense = Dense(random_numbers(rng, 5, 2), random_numbers(rng, 5), "identity")
    residual = Dense(random_numbers(rng, 5, 5), None, "identity", use_residual=True)
    through = Dense(random_numbers(rng, 3, 5), random_numbers(rng, 3), "identity", True, random_numbers(rng, 3, 5))
    norm = LayerNorm(random_numbers(rng, 3), random_numbers(rng, 3), eps=0.1)
    chain = (dense, residual, through, norm, Normalize())
    return [chain[:length] for length in range(len(chain) + 1)]


@given(
    mode=st.sampled_from(LINEAR),
    n=st.integers(1, 7),
    prompt=st.integers(0, 8),
    count=st.booleans(),
    seed=st.integers(0),
)
def test_the_parts_sum_to_the_vector(mode, n, prompt, count, seed):
    rng = np.random.default_rng(seed)
    vectors = random_numbers(rng, n, 2)
    for head in heads(rng):
        finish = finish_of((mode,), head, include_prompt=count, prompt_tokens=prompt)
        whole = token_parts(vectors, finish).sum(axis=0)
        expected = finish(vectors, TokenBatch.from_sequences([range(n)]))[0]
        np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-5)


def test_linear_pooling_and_modules_have_parts():
    dense = Dense(np.eye(2, dtype=np.float32), None, "identity")
    assert why_no_parts(finish_of(LINEAR, (dense, Normalize()))) is None


@pytest.mark.parametrize(
    ("modes", "why"),
    [
        (("mean", "max"), "max pooling takes each number from one token and none from the others"),
        (("cls",), "cls pooling uses only the first token's vector"),
        (("mean", "lasttoken"), "lasttoken pooling uses only the last token's vector"),
    ],
)
def test_pooling_that_selects_numbers_has_no_parts(modes, why):
    assert why in why_no_parts(finish_of(modes))
    with pytest.raises(AssertionError, match="pooling is not a weighted sum"):
        token_parts(ROWS, finish_of(modes))


def test_a_non_linear_module_has_no_parts():
    non_linear = Dense(np.eye(2, dtype=np.float32), None, "tanh")
    assert why_no_parts(finish_of(modules=(Normalize(), non_linear))) == (
        "a Dense layer with the non-linear activation 'tanh' follows the pooling"
    )


def test_a_module_of_an_unknown_kind_has_no_parts():
    assert why_no_parts(finish_of(modules=(np.tanh,))) == (
        "a layer of the kind ufunc, which cannot be split, follows the pooling"
    )


def test_every_mode_has_parts_or_a_reason():
    assert {mode for mode in MODES if why_no_parts(finish_of((mode,))) is None} == set(LINEAR)
