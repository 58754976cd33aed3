from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pellucid.errors import InvalidModelError
from pellucid.layers.dense import Dense
from pellucid.layers.finish import EachToken, Pool, Several
from pellucid.layers.norms import LayerNorm, Normalize, normalize
from pellucid.layers.pooling import Pooling
from pellucid.layers.token_mask import TokenMask
from pellucid.layers.token_pooling import TokenPooling
from pellucid.types import MultiVectors, TokenBatch

X = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]], dtype=np.float32)


def after_pooling(pooled, modules, normalize, truncate_dim):
    """What a Pool makes of pooled vectors."""
    return Pool(Pooling(), modules, 0, normalize, truncate_dim).after_pooling(pooled)


def test_everything_stays_float32():
    weight = np.eye(2, dtype=np.float32)
    modules = (Dense(weight, weight[0], "tanh", True, weight), LayerNorm(weight[0], weight[1]), Normalize())
    assert [module(X).dtype for module in modules] == [np.float32] * 3
    assert after_pooling(X, modules, True, 1).dtype == np.float32


@pytest.mark.parametrize(("into", "out"), [(16, 8), (384, 256), (30, 77)])
@pytest.mark.parametrize("residual", [False, True])
def test_every_module_gives_a_row_the_same_bits_alone_and_beside_others(into, out, residual):
    rng = np.random.default_rng(0)
    rows, weight, other = (rng.normal(size=size).astype(np.float32) for size in ((40, into), (out, into), (out, into)))
    dense = Dense(weight, weight[:, 0], "tanh", use_residual=residual, residual=other if residual else None)
    for module in (dense, LayerNorm(rows[0], rows[1]), Normalize()):
        together = module(rows)
        for count in (1, 2, 7):
            assert module(rows[5 : 5 + count].copy()).tobytes() == together[5 : 5 + count].tobytes()
    assert dense(rows[:0]).shape == (0, out)


class TestAfterPooling:
    modules = (Dense(np.array([[2, 0], [0, 2]], dtype=np.float32), None, "identity"), Normalize())

    def test_by_default_the_modules_are_applied_in_order(self):
        np.testing.assert_allclose(after_pooling(X[:1], self.modules, None, None), [[0.6, 0.8]], rtol=1e-6)

    def test_normalize_false_skips_only_the_models_normalize(self):
        np.testing.assert_allclose(after_pooling(X[:1], self.modules, False, None), [[6, 8]])

    def test_cutting_dimensions_comes_after_the_modules(self):
        np.testing.assert_allclose(after_pooling(X[:1], self.modules, None, 1), [[0.6]], rtol=1e-6)

    def test_normalize_true_gives_unit_length_after_cutting(self):
        np.testing.assert_allclose(after_pooling(X[:1], self.modules, True, 1), [[1.0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("modes", "prompt_tokens", "include_prompt", "wanted"),
    [
        (("cls",), 0, True, [0, 0]),
        (("cls",), 2, True, [0, 0]),
        (("lasttoken",), 0, True, [2, 5]),
        (("lasttoken",), 2, False, None),  # The prompt's tokens are left out, so a text may have none of its own.
        (("cls",), 2, False, None),
        (("cls", "lasttoken"), 0, True, None),
        (("mean",), 0, True, None),
    ],
)
def test_the_one_token_that_counts(modes, prompt_tokens, include_prompt, wanted):
    finish = Pool(Pooling(modes, include_prompt=include_prompt), (Normalize(),), prompt_tokens)
    lengths = np.array([3, 6], dtype=np.int32)
    found = finish.wanted(lengths)
    assert (None if found is None else found.tolist()) == wanted
    assert finish.wanted(np.array([3, 0], dtype=np.int32)) is None
    assert EachToken().wanted(lengths) is None
    if found is not None:
        vectors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
        tokens = TokenBatch.from_sequences([range(3), range(6)])
        rows = finish(vectors[np.array([0, 3]) + found], tokens.pick(found))
        np.testing.assert_array_equal(rows, finish(vectors, tokens))


class TestUnitLengthTwice:
    @given(hnp.arrays(np.float32, (7, 5), elements=st.floats(-9, 9, width=32)))
    def test_normalize_true_changes_no_bits_if_the_model_ends_in_normalize(self, pooled):
        layer = LayerNorm(np.ones(5, np.float32), np.ones(5, np.float32))
        for modules in ((Normalize(),), (Normalize(), Normalize()), (layer, Normalize())):
            assert (
                after_pooling(pooled, modules, True, None).tobytes()
                == after_pooling(pooled, modules, None, None).tobytes()
            )

    def test_a_normalize_in_the_middle_does_not_count_as_the_end(self):
        pooled = np.array([[3.0, 4.0, 5.0]], dtype=np.float32)
        modules = (Normalize(), LayerNorm(np.ones(3, np.float32), np.ones(3, np.float32)))
        assert np.allclose(np.linalg.norm(after_pooling(pooled, modules, True, None), axis=1), 1)
        assert not np.allclose(np.linalg.norm(after_pooling(pooled, modules, None, None), axis=1), 1)

    def test_a_cut_vector_is_normalized_again(self):
        pooled = np.array([[3.0, 4.0, 5.0]], dtype=np.float32)
        once = after_pooling(pooled, (Normalize(),), None, None)
        for kept in (2, 3):
            assert after_pooling(pooled, (Normalize(),), True, kept).tobytes() == normalize(once[:, :kept]).tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_error_names_the_text_whose_vector_is_not_finite(value):
    vectors = np.ones((4, 3), dtype=np.float32)
    pool, each_token = Pool(Pooling()), EachToken()
    offsets = np.array([0, 1, 3, 4], dtype=np.int32)
    for finish, result in ((pool, vectors), (pool, vectors[:0]), (each_token, MultiVectors(vectors, offsets))):
        finish.check(result, lambda row: row)
    vectors[2, 1] = value
    with pytest.raises(InvalidModelError, match="text 102 a vector that is not finite"):
        pool.check(vectors, lambda row: row + 100)
    with pytest.raises(InvalidModelError, match="text 101 a vector that is not finite"):
        each_token.check(MultiVectors(vectors, offsets), lambda text: text + 100)


def test_a_vector_whose_length_does_not_fit_float32_does_not_become_zeros():
    with np.errstate(all="ignore"), pytest.raises(InvalidModelError, match="text 0"):
        Pool(Pooling()).check(normalize(np.full((1, 4), 1e30, dtype=np.float32)), int)


class TestManyTexts:
    """However the texts are split into calls and parts, a finish gives each text the same result."""

    vectors = np.arange(18, dtype=np.float32).reshape(9, 2)
    offsets = np.array([0, 3, 3, 4, 9], dtype=np.int32)
    pool = Pool(Pooling(("mean", "cls")), (Normalize(),), truncate_dim=3)

    def apply(self, finish, texts):
        rows = [self.vectors[self.offsets[text] : self.offsets[text + 1]] for text in texts]
        return finish(np.concatenate(rows), TokenBatch.from_sequences([range(len(part)) for part in rows]))

    @pytest.mark.parametrize("calls", [[[3, 0, 1, 2]], [[2], [3, 1], [0]]])
    def test_merged_results_are_in_the_order_of_the_texts(self, calls):
        parts = ((np.array(texts), self.apply(self.pool, texts)) for texts in calls)
        np.testing.assert_array_equal(self.pool.merge(parts, 4), self.apply(self.pool, range(4)))
        each_token = EachToken()
        merged = each_token.merge(((np.array(texts), self.apply(each_token, texts)) for texts in calls), 4)
        np.testing.assert_array_equal(merged.vectors, self.vectors)
        np.testing.assert_array_equal(merged.offsets, self.offsets)

    def test_one_call_with_all_texts_in_order_is_not_copied(self):
        vectors = self.apply(self.pool, range(4))
        assert self.pool.merge([(np.arange(4), vectors)], 4) is vectors

    def test_dimensions_that_are_cut_off_are_not_kept_in_memory(self):
        vectors = self.apply(replace(self.pool, normalize=False, truncate_dim=1), range(4))
        assert (vectors.shape, vectors.base) == ((4, 1), None)

    def test_a_result_is_split_by_numbers_of_texts(self):
        vectors = self.apply(self.pool, range(4))
        for part, texts in zip(self.pool.split(vectors, [1, 0, 3]), [[0], [], [1, 2, 3]], strict=True):
            assert len(part) == len(texts)
            np.testing.assert_array_equal(part, self.apply(self.pool, range(4))[texts])
        first, second = EachToken().split(MultiVectors(self.vectors, self.offsets), [2, 2])
        assert [rows.tolist() for rows in first] == [self.vectors[:3].tolist(), []]
        assert [rows.tolist() for rows in second] == [self.vectors[3:4].tolist(), self.vectors[4:].tolist()]

    def test_equal_finishes_compare_equal(self):
        assert Pool(Pooling(), (Normalize(),)) == Pool(Pooling(), (Normalize(),))
        assert len({Pool(Pooling()), Pool(Pooling()), Pool(Pooling(), prompt_tokens=1), EachToken(), EachToken()}) == 3


class TestSeveral:
    tokens = TokenBatch.from_sequences([range(3), range(2), range(4)])
    vectors = np.arange(18, dtype=np.float32).reshape(9, 2)
    several = Several((Pool(Pooling(("cls",))), EachToken(), Pool(Pooling(("mean",)))))

    def test_each_finish_gives_its_result(self):
        results = self.several(self.vectors, self.tokens)
        for finish, result in zip(self.several.finishes, results, strict=True):
            self.assert_same(result, finish(self.vectors, self.tokens))

    def test_results_are_merged_and_split_in_order(self):
        whole = self.several(self.vectors, self.tokens)
        calls = [np.array([2, 0]), np.array([1])]
        rows = [np.array([5, 6, 7, 8, 0, 1, 2]), np.array([3, 4])]
        parts = ((c, self.several(self.vectors[r], self.tokens.select(c))) for c, r in zip(calls, rows, strict=True))
        merged = self.several.merge(parts, 3)
        for result, expected in zip(merged, whole, strict=True):
            self.assert_same(result, expected)
        last = self.several.split(merged, [1, 0, 2])[2]
        for finish, result in zip(self.several.finishes, last, strict=True):
            self.assert_same(result, finish(self.vectors[3:], self.tokens.part(1, 3)))

    def test_one_token_counts_if_it_is_the_same_for_all(self):
        first, last, mean = (Pool(Pooling((mode,))) for mode in ("cls", "lasttoken", "mean"))
        lengths = self.tokens.lengths
        assert Several((first, replace(first, truncate_dim=1))).wanted(lengths).tolist() == [0, 0, 0]
        for finishes in ((first, last), (first, mean), (mean, first), (first, EachToken())):
            assert Several(finishes).wanted(lengths) is None

    def assert_same(self, result, expected):
        if isinstance(expected, MultiVectors):
            np.testing.assert_array_equal(result.offsets, expected.offsets)
            result, expected = result.vectors, expected.vectors
        np.testing.assert_array_equal(result, expected)


def test_the_vectors_of_tokens_are_masked_and_merged():
    tokens = TokenBatch.from_sequences([[1, 5, 6, 7], [1, 5]])
    vectors = np.array([[9, 9], [1, 0], [1, 0], [0, 1], [9, 9], [3, 0]], dtype=np.float32)
    found = EachToken((Normalize(),), TokenMask(skipped=(1,)), TokenPooling(1.5, 0))(vectors, tokens)
    assert [each.tolist() for each in found] == [[[1, 0], [0, 1]], [[1, 0]]]
    vectors[2] = np.nan
    with pytest.raises(InvalidModelError, match="text 0"):
        EachToken().check(EachToken((), TokenMask(), TokenPooling(2, 0))(vectors, tokens), int)
