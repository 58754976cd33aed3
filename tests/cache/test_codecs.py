"""What a cache keeps of each kind of result: the bits that went in come out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.cache.codecs import MultiVectorCodec, SparseVectorCodec, VectorCodec
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import MultiVectors

WIDTH = 5
numbers = st.floats(width=32, allow_nan=False)
dense = st.lists(st.lists(numbers, min_size=WIDTH, max_size=WIDTH), max_size=4).map(
    lambda rows: np.array(rows, dtype=np.float32).reshape(-1, WIDTH)
)


@given(dense)
def test_dense_vectors(vectors):
    codec = VectorCodec(WIDTH)
    contents = codec.encode(vectors)
    assert [len(content) for content in contents] == [4 * WIDTH] * len(vectors)
    assert all(map(codec.fits, contents))
    np.testing.assert_array_equal(codec.decode(contents).view(np.int32), vectors.view(np.int32))


@given(dense)
def test_sparse_vectors(vectors):
    sparse, codec = SparseVectors.from_dense(vectors), SparseVectorCodec(WIDTH)
    contents = codec.encode(sparse)
    assert [len(content) for content in contents] == (8 * sparse.lengths).tolist()
    assert all(map(codec.fits, contents))
    found = codec.decode(contents)
    assert found.dimensions == WIDTH
    for name in ("indices", "values", "offsets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(sparse, name), strict=True)


@given(st.lists(dense, max_size=4))
def test_vectors_of_tokens(texts):
    codec = MultiVectorCodec(WIDTH)
    vectors = MultiVectors.concatenate(texts) if texts else MultiVectors(np.empty((0, WIDTH), "f4"), np.zeros(1, "i4"))
    contents = codec.encode(vectors)
    assert all(map(codec.fits, contents))
    found = codec.decode(contents)
    np.testing.assert_array_equal(found.offsets, vectors.offsets, strict=True)
    np.testing.assert_array_equal(found.vectors.view(np.int32), vectors.vectors.view(np.int32), strict=True)


def test_whoever_gets_the_numbers_may_change_them():
    vectors = np.ones((1, WIDTH), dtype=np.float32)
    dense, sparse, multi = VectorCodec(WIDTH), SparseVectorCodec(WIDTH), MultiVectorCodec(WIDTH)
    found = sparse.decode(sparse.encode(SparseVectors.from_dense(vectors)))
    offsets = np.array([0, 1], dtype=np.int32)
    for array in (
        dense.decode(dense.encode(vectors)),
        found.indices,
        found.values,
        multi.decode(multi.encode(MultiVectors(vectors, offsets))).vectors,
    ):
        assert array.flags.writeable


def ints(*numbers: int) -> bytes:
    return np.array(numbers, dtype="<i4").tobytes()


ONE = np.ones(1, dtype="<f4").tobytes()


@pytest.mark.parametrize(
    ("codec", "content"),
    [
        (VectorCodec(WIDTH), b""),
        (VectorCodec(WIDTH), bytes(4 * WIDTH - 1)),
        (MultiVectorCodec(WIDTH), bytes(4 * WIDTH + 4)),
        (SparseVectorCodec(WIDTH), ints(0)),
        (SparseVectorCodec(WIDTH), ints(-1) + ONE),
        (SparseVectorCodec(WIDTH), ints(WIDTH) + ONE),
        (SparseVectorCodec(WIDTH), ints(2, 2) + 2 * ONE),
        (SparseVectorCodec(WIDTH), ints(3, 1) + 2 * ONE),
        (SparseVectorCodec(WIDTH), ints(1, WIDTH, 2) + 3 * ONE),
    ],
)
def test_bytes_that_no_result_has_do_not_fit(codec, content):
    assert not codec.fits(content)


def test_zeros_and_no_tokens_fit():
    assert SparseVectorCodec(WIDTH).fits(b"")
    assert MultiVectorCodec(WIDTH).fits(b"")
