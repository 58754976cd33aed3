from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
import pyarrow as pa

from pellucid.sparse_vectors import SparseVectors
from pellucid.tables import vector_columns as columns
from pellucid.types import MultiVectors

COUNTS = st.lists(st.integers(0, 4), min_size=1, max_size=8)


def multi_vectors(counts):
    vectors = np.arange(sum(counts) * 3, dtype=np.float32).reshape(-1, 3)
    return MultiVectors(vectors, np.cumsum([0, *counts], dtype=np.int32))


def sparse_vectors(counts):
    total = sum(counts)
    indices = np.concatenate([np.arange(count) for count in counts]).astype(np.int32)
    return SparseVectors(indices, np.arange(total, dtype=np.float32), np.cumsum([0, *counts], dtype=np.int32), 9)


@given(COUNTS, st.data())
def test_vectors_come_back_as_they_were_from_any_rows_of_a_column(counts, data):
    start = data.draw(st.integers(0, len(counts) - 1))
    stop = data.draw(st.integers(start, len(counts)))
    many = multi_vectors(counts)
    column = columns.multi_vector_column(many)
    assert column.type == columns.multi_vector_type(3)
    back = columns.multi_vectors_in(column.slice(start, stop - start))
    assert [each.tolist() for each in back] == [each.tolist() for each in many][start:stop]
    sparse = sparse_vectors(counts)
    column = columns.sparse_column(sparse)
    assert column.type == columns.SPARSE
    found = columns.sparse_in(column.slice(start, stop - start), 9)
    np.testing.assert_array_equal(found.to_dense(), sparse.to_dense()[start:stop])
    dense = sparse.to_dense()
    column = columns.dense_column(dense)
    assert column.type == columns.dense_type(9)
    np.testing.assert_array_equal(columns.dense_in(column.slice(start, stop - start)), dense[start:stop])


@given(COUNTS, st.randoms())
def test_rows_are_put_together_again_in_any_order(counts, drawn):
    many = multi_vectors(counts)
    order = drawn.sample(range(len(counts)), len(counts))
    rows = columns.rows_of(columns.multi_vector_column(many))
    joined = columns.multi_vectors_in(columns.join([rows[number] for number in order]))
    assert [each.tolist() for each in joined] == [list(many)[number].tolist() for number in order]


def test_a_column_of_a_table_is_put_in_one_piece_and_made_of_its_type():
    column = columns.multi_vector_column(multi_vectors([1, 0, 2]))
    other = column.cast(pa.list_(pa.field("other", pa.list_(pa.field("name", pa.float32()), 3))))
    table = pa.table({"v": pa.chunked_array([other, other.slice(1)])})
    found = columns.column_in(table, "v", column.type)
    assert found.type == column.type
    assert found.to_pylist() == [*column.to_pylist(), *column.to_pylist()[1:]]
    assert columns.column_in(table.schema.empty_table(), "v", column.type).to_pylist() == []
