from __future__ import annotations

import math

import numpy as np
import pytest

from pellucid.layers.activations import ACTIVATIONS, erf

GRID = np.linspace(-8, 8, 20_001).astype(np.float32)


def test_erf_is_accurate_to_a_unit_in_the_last_place_of_float32():
    exact = np.array([math.erf(float(x)) for x in GRID])
    assert np.abs(erf(GRID) - exact).max() <= 6e-8


def test_erf_keeps_the_shape_and_gives_float32():
    y = erf(np.zeros((2, 3), dtype=np.float32))
    assert (y.shape, y.dtype, y.tolist()) == ((2, 3), np.float32, [[0.0] * 3] * 2)


EXACT = {
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
}


def test_every_activation_has_a_formula():
    assert ACTIVATIONS.keys() == EXACT.keys()


@pytest.mark.parametrize("name", EXACT)
def test_an_activation_follows_its_formula(name):
    exact = np.array([EXACT[name](float(x)) for x in GRID])
    result = ACTIVATIONS[name](GRID)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, exact, rtol=4e-7, atol=4e-7)


@pytest.mark.parametrize("name", EXACT)
def test_an_activation_does_not_overflow(name):
    result = ACTIVATIONS[name](np.array([-1e4, 1e4], dtype=np.float32))
    assert np.isfinite(result).all()
