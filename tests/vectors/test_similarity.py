from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import InputError, OptionError
from pellucid.vectors import blocks
from pellucid.vectors.similarity import nearest, similarity

NUMBERS = st.floats(-100, 100, width=32)
MATRICES = st.tuples(st.integers(1, 6), st.integers(1, 12)).flatmap(lambda s: arrays(np.float32, s, elements=NUMBERS))


@given(st.data())
def test_cosines_are_dot_products_over_lengths(data):
    width = data.draw(st.integers(1, 5))
    a, b = (data.draw(arrays(np.float32, (data.draw(st.integers(1, 4)), width), elements=NUMBERS)) for _ in "ab")
    for i, row in enumerate(similarity(a, b)):
        for j, cosine in enumerate(row):
            lengths = np.linalg.norm(a[i].astype(np.float64)) * np.linalg.norm(b[j].astype(np.float64))
            expected = a[i].astype(np.float64) @ b[j] / lengths if lengths else 0
            assert cosine == pytest.approx(expected, abs=1e-6)


def test_the_shape_follows_the_arguments():
    a, b = np.eye(3, dtype=np.float64), np.ones((2, 3), dtype=np.float16)
    assert similarity(a, b).shape == (3, 2)
    assert similarity(a[0], b).shape == (2,)
    assert similarity(a, b[0]).shape == (3,)
    assert similarity(a[0], b[0]) == pytest.approx(3**-0.5)
    assert similarity(a.tolist(), b.tolist()).dtype == np.float32
    assert similarity(np.empty((0, 3)), a).shape == (0, 3)


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e20, 3e38])
def test_lengths_do_not_matter_however_small_or_large(scale):
    a = np.array([[0.3, 0.5], [0.5, -0.2]], dtype=np.float32)
    assert np.allclose(similarity(a * np.float32(scale), a), similarity(a, a), atol=1e-6)


@given(st.data())
def test_nearest_is_a_full_sort(data):
    width = data.draw(st.integers(1, 4))
    # Whole numbers, so that many cosines are equal.
    few = st.integers(-2, 2).map(float)
    queries = data.draw(arrays(np.float32, (data.draw(st.integers(0, 5)), width), elements=few))
    vectors = data.draw(arrays(np.float32, (data.draw(st.integers(0, 40)), width), elements=few))
    k = data.draw(st.integers(1, 50))
    indices, cosines = nearest(queries, vectors, k)
    assert indices.shape == cosines.shape == (len(queries), min(k, len(vectors)))
    for row, query in enumerate(queries):
        expected = similarity(query, vectors)
        assert cosines[row] == pytest.approx(np.sort(expected)[::-1][: indices.shape[1]], abs=1e-6)
        assert cosines[row] == pytest.approx(expected[indices[row]], abs=1e-6)
        assert len(set(indices[row].tolist())) == indices.shape[1]
        order = np.lexsort((indices[row], -cosines[row]))
        assert (order == np.arange(len(order))).all()


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    queries, vectors = rng.normal(size=(7, 5)), rng.normal(size=(50, 5))
    whole = nearest(queries, vectors, 9)
    monkeypatch.setattr(blocks, "COSINE_ROWS", 2)
    monkeypatch.setattr(blocks, "MAX_NUMBERS", 2 * 4)
    indices, cosines = nearest(queries, vectors, 9)
    assert (indices == whole[0]).all()
    assert np.allclose(cosines, whole[1], atol=1e-6)


def test_one_query_gives_one_row():
    indices, cosines = nearest([1.0, 0.0], [[0.0, 1.0], [2.0, 0.0]], k=1)
    assert (indices.tolist(), cosines.tolist()) == ([1], [1.0])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (
            np.ones((2, 3)),
            np.ones((2, 4)),
            "The vectors of 'a' have 3 numbers each, those of 'b' 4. Were they made by different models?",
        ),
        (np.ones((2, 3, 4)), np.ones((2, 4)), r"a has the shape \(2, 3, 4\)"),
        (np.ones((2, 3), dtype=np.int8), np.ones((2, 3)), "a has numbers of type int8"),
        (np.ones((2, 3)), np.array([[1, 2, 3], [1, np.nan, 3]]), "vector 1 of b has a number that is not finite"),
        (np.array([1, np.inf]), np.ones((2, 2)), "vector 0 of a has a number that is not finite"),
        ([[1.0, 2.0], [1.0]], np.ones((2, 2)), "its vectors have different lengths"),
        (["a text"], np.ones((2, 2)), r"'a' holds texts. Embed them first: embed_documents\(texts\)."),
        (np.array(["x", "y"], dtype=object), np.ones((2, 2)), "'a' holds texts"),
        (1.0, np.ones((2, 2)), r"a has the shape \(\)"),
    ],
)
def test_what_cannot_be_compared_is_named(a, b, message):
    with pytest.raises(InputError, match=message):
        similarity(a, b)


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "3"])
def test_k_is_a_positive_whole_number(k):
    with pytest.raises(OptionError, match="k="):
        nearest(np.eye(2), np.eye(2), k)
