from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.engines.native import maxsim as core_maxsim
from pellucid.errors import InputError
from pellucid.types import MultiVectors
from pellucid.vectors.maxsim import EMPTY_DOCUMENT, check_documents, check_query, maxsim

NUMBERS = st.floats(-8, 8, width=16)
LENGTHS = st.lists(st.integers(0, 5), max_size=6)


def documents_of(rng, lengths, width):
    vectors = rng.standard_normal((sum(lengths), width)).astype(np.float32)
    return MultiVectors(vectors, np.cumsum([0, *lengths], dtype=np.int32))


@pytest.mark.parametrize("function", [maxsim, core_maxsim])
def test_values_worked_out_by_hand(function):
    query = np.array([[1, 0], [0, 2]], dtype=np.float32)
    vectors = np.array([[3, 0], [1, -1], [-5, -6], [0, 0]], dtype=np.float32)
    scores = function(query, MultiVectors(vectors, np.array([0, 2, 2, 3, 4], dtype=np.int32)))
    assert scores.tolist() == [3 + 0, EMPTY_DOCUMENT, -5 - 12, 0]
    assert scores.dtype == np.float32


@pytest.mark.parametrize("function", [maxsim, core_maxsim])
@given(data=st.data())
def test_it_is_the_sum_of_the_largest_dot_products(function, data):
    width, tokens, lengths = data.draw(st.integers(1, 5)), data.draw(st.integers(0, 4)), data.draw(LENGTHS)
    query, vectors = (data.draw(arrays(np.float32, (rows, width), elements=NUMBERS)) for rows in (tokens, sum(lengths)))
    documents = MultiVectors(vectors, np.cumsum([0, *lengths], dtype=np.int32))
    for score, document in zip(function(query, documents).tolist(), documents, strict=True):
        products = document.astype(np.float64) @ query.T.astype(np.float64)
        expected = products.max(axis=0).sum() if len(document) else EMPTY_DOCUMENT
        assert score == pytest.approx(expected, rel=1e-6, abs=1e-4)


@pytest.mark.parametrize(("tokens", "width"), [(1, 1), (7, 48), (32, 128), (33, 96), (70, 17), (400, 8)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_score_depends_on_its_document_alone(tokens, width, threads):
    rng = np.random.default_rng(0)
    query = rng.standard_normal((tokens, width)).astype(np.float32)
    documents = documents_of(rng, [0, 0, 1, 5, 300, 0, 2000, 3, 600, 2100, 0, 0], width)
    scores = core_maxsim(query, documents, threads)
    for score, document in zip(scores, documents, strict=True):
        alone = MultiVectors(document, np.array([0, len(document)], dtype=np.int32))
        assert core_maxsim(query, alone).tobytes() == score.tobytes()
    np.testing.assert_allclose(scores, maxsim(query, documents), rtol=1e-5, atol=1e-4)


def test_other_layouts_in_memory():
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((6, 20)).astype(np.float32)
    documents = MultiVectors(wide[:, ::2], np.array([0, 4, 6], dtype=np.int32))
    expected = maxsim(np.ascontiguousarray(wide[:3, 1::2]), documents)
    assert core_maxsim(wide[:3, 1::2], documents) == pytest.approx(expected, rel=1e-5)


GOOD = MultiVectors(np.ones((3, 2), dtype=np.float32), np.array([0, 1, 3], dtype=np.int32))


def test_good_vectors_stay_as_they_are():
    assert check_documents(GOOD, 2).vectors is GOOD.vectors
    assert check_query([[1.0, 2.0]]).dtype == np.float32
    large = np.full((2, 2), 3e38, dtype=np.float32)
    assert check_query(large) is large  # Their sum is infinite, but they are not.


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ([1.0, 2.0], r"\[t, d\]"),
        ([[1, 2]], "floats"),
        ([[1.0], [1.0, 2.0]], "different lengths"),
        (np.array([["a"]]), "floats"),
        ([[np.nan, 1.0]], "not finite"),
        ([[np.inf, -np.inf]], "not finite"),
        ([[1e300, 1.0]], "not finite"),
    ],
)
def test_a_query_is_vectors(query, message):
    with pytest.raises(InputError, match=message):
        check_query(query)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (np.ones((2, 2)), "of type ndarray"),
        (MultiVectors(np.ones((3, 4), np.float32), GOOD.offsets), "have 4 numbers, but the others have 2"),
        (MultiVectors(GOOD.vectors, np.array([0, 1], np.int32)), "offsets"),
        (MultiVectors(GOOD.vectors, np.array([1, 3], np.int32)), "offsets"),
        (MultiVectors(GOOD.vectors, np.array([0, 4, 3], np.int32)), "offsets"),
        (MultiVectors(GOOD.vectors, np.array([], np.int32)), "offsets"),
        (MultiVectors(GOOD.vectors, np.array([0, 3])), "offsets"),
        (MultiVectors(GOOD.vectors, [0, 3]), "offsets"),
        (MultiVectors(GOOD.vectors * np.float32(np.nan), GOOD.offsets), "not finite"),
    ],
)
def test_documents_are_vectors(documents, message):
    with pytest.raises(InputError, match=message):
        check_documents(documents, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"offsets": np.array([0, 2], np.int32)},
        {"offsets": np.array([0, 4, 3], np.int32)},
        {"offsets": np.array([], np.int32)},
        {"query": np.ones((0, 2), np.float32)},
        {"query": np.ones((2, 3), np.float32)},
        {"out": np.empty(3, np.float32)},
        {"threads": 0},
    ],
)
def test_the_core_checks_what_could_crash_it(changes):
    from pellucid import _native
    from pellucid.engines.native import instruction_set

    arguments = {
        "cpu": instruction_set(),
        "query": np.ones((2, 2), np.float32),
        "vectors": GOOD.vectors,
        "offsets": GOOD.offsets,
        "out": np.empty(2, np.float32),
        "threads": 1,
        "in_main_thread": True,
    }
    with pytest.raises(ValueError, match="offsets|fit"):
        _native.maxsim(**{**arguments, **changes})
