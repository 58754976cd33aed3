from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.tables.added import add_columns, plain_rows, table_of_columns, write_tables


@pytest.mark.parametrize("pieces", [[0, 5], [0, 2, 3], [0, 1, 1, 1, 1, 1], [5]])
@pytest.mark.parametrize("windows", [[5], [0, 3, 2], [0, 1, 1, 1, 1, 1]])
def test_rows_get_their_columns_whatever_the_pieces_are(tmp_path, pieces, windows):
    table = pa.table({"id": range(5)})
    edges, starts = np.cumsum([0, *pieces]), np.cumsum([0, *windows])
    tables = iter([table.slice(start, length) for start, length in zip(edges[:-1], pieces, strict=True)])
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    added = [
        {"vector": vectors[start : start + length], "name": [f"n{row}" for row in range(start, start + length)]}
        for start, length in zip(starts[:-1].tolist(), windows, strict=True)
    ]
    write_tables(tmp_path / "t.parquet", add_columns(tables, added, {"name": "string"}))
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == [
        {"id": row, "vector": vectors[row].tolist(), "name": f"n{row}"} for row in range(5)
    ]


def test_a_table_without_rows_has_its_columns(tmp_path):
    empty = table_of_columns({"line": [], "text": []}, {"line": "int64", "text": "string"})
    vectors = np.empty((0, 3), np.float32)
    write_tables(tmp_path / "t.parquet", add_columns(iter([empty]), [{"vector": vectors, "on": []}], {"on": "bool"}))
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert [str(kind) for kind in schema.types] == ["int64", "string", "fixed_size_list<element: float>[3]", "bool"]


def test_the_order_of_columns_and_null_stay():
    table = pa.table({"b": [1, None], "a": ["x", None]})
    assert [list(row.items()) for row in plain_rows(table)] == [[("b", 1), ("a", "x")], [("b", None), ("a", None)]]
