from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pellucid.layers.norms import LayerNorm, normalize

X = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
floats = st.floats(-1e6, 1e6, width=32)


def test_normalize_gives_unit_length_and_leaves_zeros():
    np.testing.assert_allclose(normalize(X), [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-6)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=floats))
def test_normalized_vectors_have_unit_length_or_are_zero(vectors):
    lengths = np.linalg.norm(normalize(vectors).astype(np.float64), axis=1)
    large = np.abs(vectors).max(axis=1) > 1e-6
    np.testing.assert_allclose(lengths[large], 1, rtol=1e-5)
    assert (lengths <= 1 + 1e-5).all()


def test_a_tiny_vector_is_not_scaled_to_unit_length():
    """The length counts as at least 1e-12, as in PyTorch."""
    np.testing.assert_allclose(normalize(np.array([[0, 1e-13]], dtype=np.float32)), [[0, 0.1]], rtol=1e-6)


def test_layer_norm_adds_eps_to_the_variance():
    one, zero = np.ones(2, dtype=np.float32), np.zeros(2, dtype=np.float32)
    # The variance of (3, 4) is 0.25, and 0.75 more makes it 1.
    np.testing.assert_allclose(LayerNorm(one, zero, eps=0.75)(X[:1]), [[-0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(LayerNorm(one, zero)(X[2:]), [[-0.5 / (0.25 + 1e-5) ** 0.5, 0.5 / (0.25 + 1e-5) ** 0.5]])


def test_each_row_is_normalized_by_itself():
    module = LayerNorm(np.array([2, 1], dtype=np.float32), np.array([0, 5], dtype=np.float32))
    np.testing.assert_array_equal(module(X), np.concatenate([module(X[row : row + 1]) for row in range(len(X))]))


def test_layer_norm_centres_scales_and_shifts():
    module = LayerNorm(np.array([2, 1], dtype=np.float32), np.array([0, 5], dtype=np.float32), eps=0.0)
    np.testing.assert_allclose(module(X[:1]), [[-2, 6]], rtol=1e-6)
