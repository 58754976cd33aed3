"""Numbers in the types in which files store them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.model.stored import TokenTable, all_finite, as_float32

BFLOAT16 = {1.0: 0x3F80, -2.0: 0xC000, 0.15625: 0x3E20, 0.0: 0x0000, np.inf: 0x7F80, 2.0**-133: 0x0001}
"""Numbers, and their bits by the definition of bfloat16: a sign, 8 bits of exponent, 7 of fraction."""


def test_the_bits_of_bfloat16_are_read_as_they_are_defined():
    found = as_float32(np.array([*BFLOAT16.values()], dtype=np.uint16))
    assert found.dtype == np.float32
    assert found.tolist() == [*BFLOAT16]


@given(st.lists(st.floats(width=16, allow_nan=False), max_size=8))
def test_float16_keeps_its_numbers(numbers):
    assert as_float32(np.array(numbers, dtype=np.float16)).tolist() == numbers


def test_float32_is_not_copied():
    numbers = np.ones((2, 3), dtype=np.float32)
    assert as_float32(numbers) is numbers


@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (2, 0)])
def test_the_shape_stays(shape):
    assert as_float32(np.zeros(shape, dtype=np.uint16)).shape == shape


@pytest.mark.parametrize(
    ("numbers", "finite"),
    [
        (np.array([0x7F7F, 0xFF7F, 0x0001], dtype=np.uint16), True),  # The largest bfloat16, and the smallest.
        (np.array([0, 0x7F80], dtype=np.uint16), False),  # Infinity.
        (np.array([0xFF80], dtype=np.uint16), False),
        (np.array([0x7FC1, 0], dtype=np.uint16), False),  # NaN.
        (np.array([65504], dtype=np.float16), True),
        (np.array([1, np.inf], dtype=np.float16), False),
        (np.array([1, np.nan], dtype=np.float32), False),
    ],
)
def test_nan_and_infinity_are_found_in_each_type(numbers, finite):
    assert all_finite(numbers) == finite


class TestATable:
    def test_looking_up_tokens_gives_their_rows_times_their_weights(self):
        rows = np.array([[1, 2], [3, 4]], dtype=np.int8)
        mapping, weights = np.array([1, 0, 1], dtype=np.int32), np.array([2, 1, 0.5], dtype=np.float32)
        ids = np.array([0, 2, 1], dtype=np.int32)
        found = TokenTable(rows, mapping, weights)[ids]
        assert found.dtype == np.float32
        assert found.tolist() == [[6, 8], [1.5, 2], [1, 2]]
        assert TokenTable(rows)[ids[[0, 2]]].tolist() == [[1, 2], [3, 4]]

    def test_rows_of_bfloat16_become_floats(self):
        rows = np.array([[0x3F80, 0xC000], [0x3E20, 0]], dtype=np.uint16)
        assert TokenTable(rows)[np.array([1, 0, 1], dtype=np.int32)].tolist() == [[0.15625, 0], [1, -2], [0.15625, 0]]
