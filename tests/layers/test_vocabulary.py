from __future__ import annotations

import math

import numpy as np
import pytest

from pellucid.errors import InvalidModelError
from pellucid.layers import vocabulary
from pellucid.layers.dense import Dense
from pellucid.layers.finish import Pool
from pellucid.layers.norms import LayerNorm
from pellucid.layers.pooling import Pooling
from pellucid.layers.vocabulary import AutoEncoder, SparseCode, VocabularyHead, VocabularyPool
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import TokenBatch

HIDDEN, WIDTH, SIZE = 3, 4, 11


@pytest.fixture
def head() -> VocabularyHead:
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return VocabularyHead(
        Dense(normal(WIDTH, HIDDEN), normal(WIDTH), "gelu"),
        LayerNorm(1 + normal(WIDTH), normal(WIDTH)),
        Dense(normal(SIZE, WIDTH), normal(SIZE), "identity"),
    )


def batch(*lengths: int) -> tuple[np.ndarray, TokenBatch]:
    vectors = np.random.default_rng(1).normal(size=(sum(lengths), HIDDEN)).astype(np.float32)
    return vectors, TokenBatch.from_sequences([range(length) for length in lengths])


@pytest.mark.parametrize("logs", [1, 2])
@pytest.mark.parametrize("mode", ["max", "sum"])
def test_a_weight_is_the_log_of_the_tokens_scores(head, mode, logs):
    vectors, tokens = batch(3, 1, 5)
    weights = VocabularyPool(head, mode, logs)(vectors, tokens).to_dense()
    for text, row in enumerate(weights):
        scores = head.token_scores(vectors[tokens.offsets[text] : tokens.offsets[text + 1]]).astype(np.float64)
        logarithms = np.maximum(scores, 0)
        for _ in range(logs):
            logarithms = np.log(1 + logarithms)
        expected = logarithms.max(axis=0) if mode == "max" else logarithms.sum(axis=0)
        np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-6)


def test_scores_are_a_norm_and_two_linear_layers(head):
    vectors, _ = batch(2)
    inner = vectors @ head.transform.weight.T + head.transform.bias
    inner = 0.5 * inner * (1 + np.vectorize(math.erf)(inner / np.sqrt(2)))
    inner = (inner - inner.mean(axis=1, keepdims=True)) / np.sqrt(inner.var(axis=1, keepdims=True) + 1e-5)
    inner = inner * head.norm.weight + head.norm.bias
    expected = inner @ head.decoder.weight.T + head.decoder.bias
    np.testing.assert_allclose(head.token_scores(vectors), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_small_blocks_change_nothing(head, mode, monkeypatch):
    vectors, tokens = batch(3, 0, 1, 40, 2)
    pool = VocabularyPool(head, mode)
    whole = pool(vectors, tokens)
    monkeypatch.setattr(vocabulary, "_MAX_NUMBERS", 7 * SIZE)
    np.testing.assert_allclose(pool(vectors, tokens).to_dense(), whole.to_dense(), rtol=1e-6)
    assert not len(whole[1].values)


def test_only_the_heaviest_tokens_stay(head):
    vectors, tokens = batch(3, 4)
    found = VocabularyPool(head, max_active_dims=2)(vectors, tokens)
    everything = VocabularyPool(head)(vectors, tokens)
    assert found.lengths.tolist() == [2, 2]
    for few, all_of_them in zip(found, everything, strict=True):
        assert few.values.min() >= np.sort(all_of_them.values)[-2]


def test_results_are_merged_and_split_in_order(head):
    vectors, tokens = batch(1, 2, 3)
    pool = VocabularyPool(head)
    whole = pool(vectors, tokens)
    parts = [(np.array([2]), whole[2]), (np.array([0, 1]), whole[:2])]
    merged = pool.merge(iter(parts), 3)
    np.testing.assert_array_equal(merged.to_dense(), whole.to_dense())
    assert [len(part) for part in pool.split(merged, [1, 0, 2])] == [1, 0, 2]
    np.testing.assert_array_equal(pool.split(merged, [1, 2])[1].to_dense(), whole[1:].to_dense())


def test_a_weight_that_is_not_finite_is_named(head):
    vectors, tokens = batch(1, 2, 3)
    vectors[4] = np.nan
    pool = VocabularyPool(head)
    with pytest.raises(InvalidModelError, match="text 12 a weight that is not finite"):
        pool.check(pool(vectors, tokens), lambda row: 10 + row)


@pytest.mark.parametrize("normalize", [False, True])
def test_an_autoencoder_keeps_the_largest_numbers(normalize):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(9, HIDDEN)).astype(np.float32), rng.normal(size=9).astype(np.float32)
    before = rng.normal(size=HIDDEN).astype(np.float32)
    vectors, tokens = batch(3, 2)
    code = SparseCode(Pool(Pooling()), AutoEncoder(before, weight, bias, kept=3, normalize=normalize))
    found = code(vectors, tokens)
    assert isinstance(found, SparseVectors)
    for text, row in enumerate(found.to_dense()):
        dense = vectors[tokens.offsets[text] : tokens.offsets[text + 1]].mean(axis=0)
        if normalize:
            dense = (dense - dense.mean()) / (dense.std(ddof=1) + 1e-5)
        numbers = (dense - before) @ weight.T + bias
        numbers[np.argsort(-numbers)[3:]] = 0
        np.testing.assert_allclose(row, np.maximum(numbers, 0), rtol=1e-4, atol=1e-5)
