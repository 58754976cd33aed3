"""``tests/reference/test_util.py`` compares these functions with those of sentence-transformers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import InputError
from pellucid.sentence_transformers import SimilarityFunction
from pellucid.sentence_transformers import similarity as module
from pellucid.sentence_transformers.util import (
    cos_sim,
    dot_score,
    euclidean_sim,
    manhattan_sim,
    maxsim,
    mean_maxsim_pairwise,
    normalize_embeddings,
    pairwise_angle_sim,
    pairwise_cos_sim,
    pairwise_dot_score,
    pairwise_euclidean_sim,
    pairwise_manhattan_sim,
)

A = np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
B = np.array([[3.0, 4.0], [-4.0, 3.0], [6.0, 0.0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (cos_sim, [[1, 0, 0.6], [0, 0, 0]]),
        (dot_score, [[25, 0, 18], [0, 0, 0]]),
        (euclidean_sim, [[0, -math.sqrt(50), -5], [-5, -5, -6]]),
        (manhattan_sim, [[0, -8, -7], [-7, -7, -6]]),
    ],
)
def test_all_pairs(function, expected):
    assert function(A, B) == pytest.approx(np.array(expected), abs=1e-6)
    assert function(A[0], B).shape == (1, 3)
    assert function(A.tolist(), list(B)).dtype == np.float32


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (pairwise_cos_sim, [1, 0]),
        (pairwise_dot_score, [25, 0]),
        (pairwise_euclidean_sim, [0, -5]),
        (pairwise_manhattan_sim, [0, -7]),
        (pairwise_angle_sim, [1, 0]),
    ],
)
def test_pairs_at_the_same_place(function, expected):
    assert function(A, B[:2]) == pytest.approx(expected, abs=1e-6)


@given(arrays(np.float64, (5, 3), elements=st.floats(-10, 10)), arrays(np.float64, (4, 3), elements=st.floats(-10, 10)))
def test_distances_are_those_of_the_definition(a, b):
    differences = a[:, None] - b
    assert manhattan_sim(a, b) == pytest.approx(-np.abs(differences).sum(axis=2), abs=1e-9)
    assert euclidean_sim(a, b) == pytest.approx(-np.sqrt((differences**2).sum(axis=2)), abs=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_small_integers_do_not_overflow(dtype):
    a, b = np.array([[100, 0]], dtype=dtype), np.array([[0, 120]], dtype=dtype)
    assert manhattan_sim(a, b) == pairwise_manhattan_sim(a, b) == -220
    assert euclidean_sim(a, b) == pytest.approx(-math.hypot(100, 120))
    assert pairwise_euclidean_sim(a, b) == pytest.approx(-math.hypot(100, 120))
    assert dot_score(a, a) == pairwise_dot_score(a, a) == 10_000


def test_as_many_vectors_are_needed():
    with pytest.raises(InputError, match="a has 2 vectors and b 3"):
        pairwise_dot_score(A, B)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    whole = euclidean_sim(a, b), manhattan_sim(a, b)
    monkeypatch.setattr(module, "MAX_NUMBERS", 90)
    assert np.allclose((euclidean_sim(a, b), manhattan_sim(a, b)), whole, atol=1e-12)


def test_a_function_by_its_name():
    assert SimilarityFunction("dot") is SimilarityFunction.DOT is SimilarityFunction.DOT_PRODUCT
    assert SimilarityFunction.to_similarity_fn("cosine") is cos_sim
    assert SimilarityFunction.to_similarity_pairwise_fn(SimilarityFunction.MANHATTAN) is pairwise_manhattan_sim
    with pytest.raises(ValueError, match="'nothing' is not a valid SimilarityFunction"):
        SimilarityFunction.to_similarity_fn("nothing")
    assert SimilarityFunction.to_similarity_fn("maxsim") is maxsim
    assert SimilarityFunction.to_similarity_pairwise_fn("meanmaxsim") is mean_maxsim_pairwise


def test_unit_length():
    assert normalize_embeddings(A).tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert normalize_embeddings(A[0]).tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (["a text"], "a has values of type .*Encode texts first"),
        ([[1.0], [1.0, 2.0]], "its vectors have different lengths"),
        (np.ones((2, 3)), "The vectors of 'a' have 3 numbers each, those of 'b' 2."),
        (np.ones((2, 2, 2)), "it must be vectors"),
    ],
)
def test_what_cannot_be_compared_is_named(a, message):
    with pytest.raises(InputError, match=message):
        cos_sim(a, B)
