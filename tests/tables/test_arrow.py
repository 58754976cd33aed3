from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pellucid.tables import arrow


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_vectors_become_lists_of_a_fixed_size(dtype):
    vectors = np.arange(6, dtype=dtype).reshape(2, 3)[:, ::-1]  # Not contiguous.
    column = arrow.vector_column(vectors)
    assert column.type == pa.list_(pa.from_numpy_dtype(dtype), 3)
    assert column.to_pylist() == vectors.tolist()


def test_packed_bits_become_bytes():
    column = arrow.vector_column(np.array([[1, 255], [0, 7]], dtype=np.uint8), packed_bits=True)
    assert column.type == pa.binary(2)
    assert column.to_pylist() == [b"\x01\xff", b"\x00\x07"]


def test_rows_that_have_no_vector_get_a_null():
    column = arrow.vector_column(np.eye(2, dtype=np.float32))
    assert arrow.with_nulls(column, [1, None, 0]).to_pylist() == [[0, 1], None, [1, 0]]


@pytest.mark.parametrize("cannot_filter", [False, True])
def test_rows_are_kept_whatever_their_types_are(cannot_filter):
    keep = np.array([True, False, True, True, False])
    table = pa.table({"n": range(5), "list": [[n] for n in range(5)]})
    if cannot_filter:
        table = table.append_column("view", pa.array("abcde").cast(pa.string_view()))
    kept = arrow.keep_rows(table, keep)
    assert kept.to_pylist() == [table.to_pylist()[row] for row in (0, 2, 3)]
    assert kept["n"].num_chunks == (2 if cannot_filter else 1)  # A table of many slices is slow to write.
    assert arrow.keep_rows(table, ~keep & keep).num_rows == arrow.keep_rows(table[:0], keep[:0]).num_rows == 0


def test_a_table_comes_back_from_its_bytes_and_from_a_stream_with_its_columns_in_order():
    columns = {"name": "str", "n": "int"}
    vectors = arrow.vector_column(np.array([[1, 2], [3, 4]], dtype=np.float32))
    schema = arrow.schema_of(columns, {"v": vectors.type})
    table = arrow.table_of(columns, [["a", "b"], [1, 2]], {"v": vectors})
    assert table.schema == schema
    assert arrow.from_file_format(arrow.to_file_format(table)) == table
    shuffled = table.select(["v", "n", "name"]).to_batches()
    assert arrow.stream(shuffled, schema).read_all() == table
