from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pellucid.errors import OptionError
from pellucid.layers.quantization import OUTPUT_DTYPES, check_ranges, to_dtype, to_int8


class TestOutputDtypes:
    vectors = np.array([[0.0, -1.0, 155.0], [255.0, -1.0, 27.5], [127.5, -1.0, -100.0]], dtype=np.float32)

    def test_uint8_divides_the_range_of_each_dimension_into_256_steps(self):
        assert to_dtype(self.vectors, "uint8").tolist() == [[0, 0, 255], [255, 0, 127], [127, 0, 0]]

    def test_int8_is_uint8_minus_128(self):
        assert to_dtype(self.vectors, "int8").tolist() == [[-128, -128, 127], [127, -128, -1], [-1, -128, -128]]

    def test_binary_keeps_the_signs_eight_per_byte(self):
        vectors = np.array([[1, -1, 1, -1, 0, 2, -3, 4, 5]], dtype=np.float32)
        assert to_dtype(vectors, "ubinary").tolist() == [[0b10100101, 0b10000000]]
        assert to_dtype(vectors, "binary").tolist() == [[0b10100101 - 128, 0]]

    @pytest.mark.parametrize("dtype", OUTPUT_DTYPES)
    def test_no_vectors_give_an_empty_array_of_the_right_width(self, dtype):
        result = to_dtype(np.empty((0, 12), dtype=np.float32), dtype)
        assert result.shape == ((0, 2) if "binary" in dtype else (0, 12))
        assert result.dtype == {"binary": np.int8, "ubinary": np.uint8}.get(
            dtype, np.dtype(dtype if "binary" not in dtype else "i1")
        )

    @pytest.mark.parametrize("dtype", ["int8", "uint8"])
    def test_one_vector_has_no_ranges(self, dtype):
        with pytest.raises(OptionError, match="one vector has no range"):
            check_ranges(1, dtype)
        assert check_ranges(2, dtype) is None
        assert check_ranges(0, dtype) is None

    def test_numbers_outside_the_range_become_its_nearest_end(self):
        low, high = np.array([0, 5], dtype=np.float32), np.array([25.5, 5], dtype=np.float32)
        vectors = np.array([[-3, 5], [99, 7], [0.15, 4], [12.8, 5]], dtype=np.float32)
        assert to_int8(vectors, low, high).tolist() == [[-128, -128], [127, -126], [-127, -128], [-128 + 128, -128]]

    @given(hnp.arrays(np.float32, (6, 3), elements=st.floats(-100, 100, width=16)))
    def test_a_number_can_be_restored_to_within_half_a_step(self, vectors):
        low, high = vectors.min(axis=0), vectors.max(axis=0)
        step = (high.astype(np.float64) - low) / 255
        restored = low + (to_int8(vectors, low, high) + 128.5) * step
        assert (np.abs(restored - vectors) <= 0.5 * step + 1e-4).all()

    def test_float32_is_the_same_array(self):
        assert to_dtype(self.vectors, "float32") is self.vectors

    def test_float16_rounds(self):
        assert to_dtype(self.vectors, "float16").dtype == np.float16
