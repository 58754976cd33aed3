from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pellucid.explain.render.packing import pack


def unpacked(packed) -> np.ndarray:
    """The same in Python as ``unpack`` in page/elements.js."""
    content = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), dtype=np.uint8)
    planes = content.reshape(packed["planes"], -1).astype(np.int64)
    zigzag = sum(plane << 8 * number for number, plane in enumerate(planes))
    integers = np.where(zigzag % 2, -(zigzag + 1) // 2, zigzag // 2)
    return (integers / 10 ** packed["decimals"]).reshape(packed["shape"])


@given(
    array=arrays.arrays(np.float32, arrays.array_shapes(min_side=0), elements=st.floats(-99, 99, width=32)),
    decimals=st.integers(0, 6),
)
def test_numbers_come_back_within_half_of_the_last_decimal(array, decimals):
    packed = pack(array, decimals)
    assert packed["shape"] == list(array.shape)
    np.testing.assert_allclose(unpacked(packed), array, rtol=0, atol=0.5001 * 10.0**-decimals)


@pytest.mark.parametrize(
    ("largest", "planes"), [(0.127, 1), (0.128, 2), (-0.128, 1), (-0.129, 2), (32.7, 2), (33.0, 3)]
)
def test_there_are_as_many_planes_as_the_largest_number_needs(largest, planes):
    assert pack(np.array([largest, 0]), 3)["planes"] == planes
