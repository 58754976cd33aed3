from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid import SparseVectors
from pellucid.errors import InputError

FEW = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 2.0])
"""Most numbers are zero, and many others are equal."""


@st.composite
def dense(draw, columns: int | None = None):
    return draw(arrays(np.float32, (draw(st.integers(0, 6)), columns or draw(st.integers(1, 7))), elements=FEW))


@given(dense())
def test_dense_vectors_come_back(vectors):
    sparse = SparseVectors.from_dense(vectors)
    np.testing.assert_array_equal(sparse.to_dense(), vectors)
    assert (sparse.indices.dtype, sparse.values.dtype, sparse.offsets.dtype) == (np.int32, np.float32, np.int32)
    assert (len(sparse), sparse.dimensions) == vectors.shape
    assert sparse.lengths.tolist() == np.count_nonzero(vectors, axis=1).tolist()
    assert (sparse.values != 0).all()


@given(st.data())
def test_choosing_vectors_is_choosing_rows(data):
    vectors = data.draw(dense())
    sparse, count = SparseVectors.from_dense(vectors), len(vectors)
    start, stop = data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9))
    step = data.draw(st.sampled_from([-2, -1, 1, 2]))
    keys = [slice(start, stop, step), data.draw(arrays(np.bool_, count))]
    if count:
        keys.append(data.draw(arrays(np.int64, data.draw(st.integers(0, 5)), elements=st.integers(-count, count - 1))))
    for key in keys:
        np.testing.assert_array_equal(sparse[key].to_dense(), vectors[key])
    for one, row in zip(sparse, vectors, strict=True):
        np.testing.assert_array_equal(one.to_dense(), row[None])
    with pytest.raises(IndexError):
        sparse[count]


@given(dense(4), dense(4))
def test_dot_products_and_joining(a, b):
    one, other = SparseVectors.from_dense(a), SparseVectors.from_dense(b)
    np.testing.assert_allclose(one.dot(other), a @ b.T, rtol=1e-6)
    joined = SparseVectors.concatenate([one, other])
    np.testing.assert_array_equal(joined.to_dense(), np.concatenate([a, b]))
    for row, vector in zip(one.dot(other), one, strict=True):  # The bits do not depend on the other vectors.
        np.testing.assert_array_equal(vector.dot(other)[0], row)


@given(dense(), st.integers(1, 8))
def test_the_largest_numbers_stay(vectors, count):
    expected = np.zeros_like(vectors)
    for row, vector in zip(expected, vectors, strict=True):
        kept = np.argsort(-vector, kind="stable")[:count]
        row[kept] = vector[kept]
    np.testing.assert_array_equal(SparseVectors.from_dense(vectors).largest(count).to_dense(), expected)


def test_scipy_has_the_same_numbers():
    sparse = pytest.importorskip("scipy.sparse")
    vectors = np.array([[0, 1, 0], [0, 0, 0], [2, 0, 3]], dtype=np.float32)
    found = SparseVectors.from_dense(vectors).to_scipy()
    assert isinstance(found, sparse.csr_array)
    np.testing.assert_array_equal(found.toarray(), vectors)


def test_vectors_of_different_models_do_not_mix():
    a, b = (SparseVectors.from_dense(np.ones((1, size), dtype=np.float32)) for size in (2, 3))
    with pytest.raises(InputError, match="2 and 3 dimensions"):
        a.dot(b)
    with pytest.raises(InputError, match="different lengths"):
        SparseVectors.concatenate([a, b])
