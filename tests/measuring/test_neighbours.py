from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import OptionError
from pellucid.measuring.neighbours import agreement, cap_neighbours

# Small whole numbers often give copies, ties and rows of zeros.
NUMBERS = st.one_of(st.integers(-2, 2).map(float), st.floats(-1, 1, width=32))


@st.composite
def two_models(draw):
    """The vectors of the same 3 to 12 texts from two models, and a number of neighbours."""
    count = draw(st.integers(3, 12))
    a, b = (draw(arrays(np.float32, (count, draw(st.integers(1, 4))), elements=NUMBERS)) for _ in range(2))
    return a, b, draw(st.integers(1, count - 1))


def rotation(width: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.RandomState(seed).normal(size=(width, width)))[0]


@given(two_models())
def test_a_model_agrees_with_itself_and_agreement_is_symmetric(case):
    a, b, k = case
    found = agreement([a, b, a], k)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(np.diag(found), 1)
    assert found[0, 2] == pytest.approx(1)
    assert found[0, 1] == pytest.approx(found[2, 1])
    np.testing.assert_array_equal(found, found.T)
    assert ((found >= 0) & (found <= 1)).all()


@given(two_models(), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_texts_nor_the_length_of_a_vector_matters(case, random):
    a, b, k = case
    order = random.sample(range(len(a)), len(a))
    lengths = np.array([[random.choice([0.5, 1, 8])] for _ in a])
    np.testing.assert_allclose(agreement([a[order], b[order]], k), agreement([a, b * lengths], k), atol=1e-9)


@given(st.integers(0, 2**31), st.integers(3, 30), st.integers(1, 8))
def test_a_rotation_of_a_models_vectors_changes_nothing(seed, count, width):
    rng = np.random.RandomState(seed)
    a, b = rng.normal(size=(count, width)), rng.normal(size=(count, 5))
    k = cap_neighbours(10, count)
    rotated = a @ rotation(width, seed)
    np.testing.assert_allclose(agreement([rotated, b], k), agreement([a, b], k), atol=1e-9)


def test_a_rotation_changes_nothing_where_rounding_decides_between_ties():
    corners = np.stack(np.meshgrid(*[[-1, 1]] * 4), axis=-1).reshape(-1, 4)  # Each has four nearest others.
    b = np.random.RandomState(0).normal(size=(16, 5))
    for seed in range(5):
        rotated = corners @ rotation(4, seed)
        np.testing.assert_allclose(agreement([rotated, b], 2), agreement([corners, b], 2), atol=1e-9)


@given(two_models(), st.integers(1, 40))
def test_the_size_of_a_block_changes_nothing(case, block):
    a, b, k = case
    np.testing.assert_allclose(agreement([a, b], k, block=block), agreement([a, b], k), atol=1e-12)


def test_without_ties_it_is_the_mean_overlap_of_two_sets():
    rng = np.random.RandomState(3)
    a = rng.normal(size=(40, 6))
    b = a + rng.normal(size=a.shape)
    overlaps = []
    for text in range(len(a)):
        near = []
        for vectors in (a, b):
            cosines = {
                other: vectors[text] @ vectors[other] / np.linalg.norm(vectors[text]) / np.linalg.norm(vectors[other])
                for other in range(len(vectors))
                if other != text
            }
            near.append(set(sorted(cosines, key=cosines.__getitem__)[-7:]))
        overlaps.append(len(near[0] & near[1]) / 7)
    assert 0.2 < np.mean(overlaps) < 0.9
    assert agreement([a, b], 7)[0, 1] == pytest.approx(np.mean(overlaps))


def test_texts_that_tie_for_a_place_share_it():
    # The nearest text of text 0: texts 1 and 2 tie in the first model; it is text 1 in the second.
    # The nearest text of text 1: text 2 in the first model, text 0 in the second.
    # The nearest text of text 2: text 1 in both.
    first = np.array([[1, 0], [0, 1], [0, 2]])
    second = np.array([[1, 0], [1, 0.1], [0, 1]])
    assert agreement([first, second], 1)[0, 1] == pytest.approx((1 / 2 + 0 + 1) / 3)


def test_unrelated_models_agree_by_chance():
    rng = np.random.RandomState(0)
    found = agreement([rng.normal(size=(1500, 16)) for _ in range(2)], 20)[0, 1]
    assert found == pytest.approx(20 / 1499, rel=0.2)


@pytest.mark.parametrize("k", [0, 3, 4])
def test_k_is_at_most_the_number_of_other_texts(k):
    with pytest.raises(OptionError, match=f"k={k} must be at least 1, and at most 2"):
        agreement([np.eye(3)], k)


def test_models_must_have_embedded_the_same_texts():
    with pytest.raises(OptionError, match="different numbers of texts"):
        agreement([np.eye(3), np.eye(4)], 1)


@pytest.mark.parametrize(("texts", "expected"), [(3, 1), (4, 1), (5, 2), (20, 9), (21, 10), (1000, 10)])
def test_at_most_half_of_the_other_texts_are_compared(texts, expected):
    assert cap_neighbours(10, texts) == expected
