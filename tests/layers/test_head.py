from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pellucid.errors import InvalidModelError, OptionError
from pellucid.layers.head import (
    OUTPUT_DTYPES,
    Dense,
    LayerNorm,
    Normalize,
    check_finite,
    check_ranges,
    finish,
    normalize,
    to_dtype,
    to_ranges,
)

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


def test_dense_is_a_linear_layer_and_its_activation():
    weight, bias = np.array([[1, 2], [0, -1], [1, 1]], dtype=np.float32), np.array([1, 0, -8], dtype=np.float32)
    np.testing.assert_allclose(Dense(weight, bias, "relu")(X[:1]), [[12, 0, 0]])
    np.testing.assert_allclose(Dense(weight, None, "identity")(X[:1]), [[11, -4, 7]])


def test_a_vector_that_is_almost_nothing_is_not_blown_up():
    """The length counts as 1e-12 at least, as in PyTorch."""
    np.testing.assert_allclose(normalize(np.array([[0, 1e-13]], dtype=np.float32)), [[0, 0.1]], rtol=1e-6)


def test_dense_adds_its_input_as_it_is_or_through_a_matrix():
    weight, through = np.array([[1, 2], [0, -1]], dtype=np.float32), np.array([[0, 1], [2, 0]], dtype=np.float32)
    np.testing.assert_allclose(Dense(weight, None, "relu", use_residual=True)(X[:1]), [[11 + 3, 0 + 4]])
    np.testing.assert_allclose(Dense(weight, None, "relu", True, through)(X[:1]), [[11 + 4, 0 + 6]])


def test_layer_norm_adds_eps_to_the_variance():
    one, zero = np.ones(2, dtype=np.float32), np.zeros(2, dtype=np.float32)
    # The variance of (3, 4) is 0.25, and 0.75 more makes it 1.
    np.testing.assert_allclose(LayerNorm(one, zero, eps=0.75)(X[:1]), [[-0.5, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(LayerNorm(one, zero)(X[2:]), [[-0.5 / (0.25 + 1e-5) ** 0.5, 0.5 / (0.25 + 1e-5) ** 0.5]])


def test_each_row_is_normed_by_itself():
    module = LayerNorm(np.array([2, 1], dtype=np.float32), np.array([0, 5], dtype=np.float32))
    np.testing.assert_array_equal(module(X), np.concatenate([module(X[row : row + 1]) for row in range(len(X))]))


def test_everything_stays_float32():
    weight = np.eye(2, dtype=np.float32)
    modules = (Dense(weight, weight[0], "tanh", True, weight), LayerNorm(weight[0], weight[1]), Normalize())
    assert [module(X).dtype for module in modules] == [np.float32] * 3
    assert finish(X, modules, True, 1).dtype == np.float32


@pytest.mark.parametrize(("into", "out"), [(16, 8), (384, 256), (30, 77)])
@pytest.mark.parametrize("residual", [False, True])
def test_every_module_gives_a_row_the_same_bits_alone_and_among_others(into, out, residual):
    rng = np.random.default_rng(0)
    rows, weight, other = (rng.normal(size=size).astype(np.float32) for size in ((40, into), (out, into), (out, into)))
    dense = Dense(weight, weight[:, 0], "tanh", use_residual=residual, residual=other if residual else None)
    for module in (dense, LayerNorm(rows[0], rows[1]), Normalize()):
        together = module(rows)
        for count in (1, 2, 7):
            assert module(rows[5 : 5 + count].copy()).tobytes() == together[5 : 5 + count].tobytes()
    assert dense(rows[:0]).shape == (0, out)


def test_layer_norm_centres_scales_and_shifts():
    module = LayerNorm(np.array([2, 1], dtype=np.float32), np.array([0, 5], dtype=np.float32), eps=0.0)
    np.testing.assert_allclose(module(X[:1]), [[-2, 6]], rtol=1e-6)


class TestFinish:
    modules = (Dense(np.array([[2, 0], [0, 2]], dtype=np.float32), None, "identity"), Normalize())

    def test_by_default_the_modules_are_applied_in_order(self):
        np.testing.assert_allclose(finish(X[:1], self.modules, None, None), [[0.6, 0.8]], rtol=1e-6)

    def test_normalize_false_passes_over_the_models_normalize_only(self):
        np.testing.assert_allclose(finish(X[:1], self.modules, False, None), [[6, 8]])

    def test_cutting_dimensions_comes_after_the_modules(self):
        np.testing.assert_allclose(finish(X[:1], self.modules, None, 1), [[0.6]], rtol=1e-6)

    def test_normalize_true_gives_unit_length_after_cutting(self):
        np.testing.assert_allclose(finish(X[:1], self.modules, True, 1), [[1.0]], rtol=1e-6)


class TestOutputDtypes:
    vectors = np.array([[0.0, -1.0, 155.0], [255.0, -1.0, 27.5], [127.5, -1.0, -100.0]], dtype=np.float32)

    def test_uint8_puts_the_range_of_each_dimension_into_256_steps(self):
        assert to_dtype(self.vectors, "uint8").tolist() == [[0, 0, 255], [255, 0, 127], [127, 0, 0]]

    def test_int8_is_uint8_less_128(self):
        assert to_dtype(self.vectors, "int8").tolist() == [[-128, -128, 127], [127, -128, -1], [-1, -128, -128]]

    def test_binary_keeps_the_signs_eight_to_a_byte(self):
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

    def test_what_lies_beyond_the_ranges_is_put_at_their_ends(self):
        low, high = np.array([0, 5], dtype=np.float32), np.array([25.5, 5], dtype=np.float32)
        vectors = np.array([[-3, 5], [99, 7], [0.15, 4], [12.8, 5]], dtype=np.float32)
        assert to_ranges(vectors, low, high).tolist() == [[-128, -128], [127, -126], [-127, -128], [-128 + 128, -128]]

    @given(hnp.arrays(np.float32, (6, 3), elements=st.floats(-100, 100, width=16)))
    def test_a_step_can_be_undone_to_within_half_of_it(self, vectors):
        low, high = vectors.min(axis=0), vectors.max(axis=0)
        step = (high.astype(np.float64) - low) / 255
        undone = low + (to_ranges(vectors, low, high) + 128.5) * step
        assert (np.abs(undone - vectors) <= 0.5 * step + 1e-4).all()

    def test_float32_is_the_same_array(self):
        assert to_dtype(self.vectors, "float32") is self.vectors

    def test_float16_rounds(self):
        assert to_dtype(self.vectors, "float16").dtype == np.float16


class TestUnitLengthTwice:
    @given(hnp.arrays(np.float32, (7, 5), elements=st.floats(-9, 9, width=32)))
    def test_a_model_that_ends_in_unit_length_has_the_same_bits_when_asked_for_it(self, pooled):
        layer = LayerNorm(np.ones(5, np.float32), np.ones(5, np.float32))
        for modules in ((Normalize(),), (Normalize(), Normalize()), (layer, Normalize())):
            assert finish(pooled, modules, True, None).tobytes() == finish(pooled, modules, None, None).tobytes()

    def test_one_in_the_middle_is_not_the_end(self):
        pooled = np.array([[3.0, 4.0, 5.0]], dtype=np.float32)
        modules = (Normalize(), LayerNorm(np.ones(3, np.float32), np.ones(3, np.float32)))
        assert np.allclose(np.linalg.norm(finish(pooled, modules, True, None), axis=1), 1)
        assert not np.allclose(np.linalg.norm(finish(pooled, modules, None, None), axis=1), 1)

    def test_what_is_cut_afterwards_gets_unit_length_again(self):
        pooled = np.array([[3.0, 4.0, 5.0]], dtype=np.float32)
        once = finish(pooled, (Normalize(),), None, None)
        for kept in (2, 3):
            assert finish(pooled, (Normalize(),), True, kept).tobytes() == normalize(once[:, :kept]).tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_names_its_text(value):
    vectors = np.ones((4, 3), dtype=np.float32)
    check_finite(vectors)
    check_finite(vectors[:0])
    vectors[2, 1] = value
    with pytest.raises(InvalidModelError, match="text 102 a vector that is not finite"):
        check_finite(vectors, lambda row: row + 100)


def test_a_length_beyond_float32_does_not_become_zeros():
    with np.errstate(all="ignore"), pytest.raises(InvalidModelError, match="text 0"):
        check_finite(normalize(np.full((1, 4), 1e30, dtype=np.float32)))
