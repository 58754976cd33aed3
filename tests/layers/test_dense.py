from __future__ import annotations

import numpy as np

from pellucid.layers.dense import Dense

X = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]], dtype=np.float32)


def test_dense_is_a_linear_layer_and_an_activation():
    weight, bias = np.array([[1, 2], [0, -1], [1, 1]], dtype=np.float32), np.array([1, 0, -8], dtype=np.float32)
    np.testing.assert_allclose(Dense(weight, bias, "relu")(X[:1]), [[12, 0, 0]])
    np.testing.assert_allclose(Dense(weight, None, "identity")(X[:1]), [[11, -4, 7]])


def test_dense_adds_its_input_as_it_is_or_through_a_matrix():
    weight, through = np.array([[1, 2], [0, -1]], dtype=np.float32), np.array([[0, 1], [2, 0]], dtype=np.float32)
    np.testing.assert_allclose(Dense(weight, None, "relu", use_residual=True)(X[:1]), [[11 + 3, 0 + 4]])
    np.testing.assert_allclose(Dense(weight, None, "relu", True, through)(X[:1]), [[11 + 4, 0 + 6]])
