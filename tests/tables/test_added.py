from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.errors import UnreadableFileError
from pellucid.tables.added import add_columns, json_rows, table_of_columns, write_tables


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
    assert [list(row.items()) for row in json_rows(table)] == [[("b", 1), ("a", "x")], [("b", None), ("a", None)]]


TIMES = {
    pa.timestamp("ns"): "1970-01-01 00:00:00.000000001",
    pa.time64("ns"): "00:00:00.000000001",
    pa.duration("ns"): "1",
}


@pytest.mark.parametrize("kind", TIMES)
def test_times_are_text_at_any_depth(kind):
    nested = {
        "list": ([1], pa.list_(kind)),
        "large list": ([1], pa.large_list(kind)),
        "pair": ([1, 1], pa.list_(kind, 2)),
        "struct": ({"a": [1]}, pa.struct([("a", pa.list_(kind))])),
        "map": ([("k", 1)], pa.map_(pa.string(), kind)),
    }
    table = pa.table({name: pa.array([value, None], of) for name, (value, of) in nested.items()})
    table = table.append_column("dictionary", pa.array([1, None], kind).dictionary_encode())
    time = TIMES[kind]
    first, second = json_rows(table)
    assert first == {
        "list": [time],
        "large list": [time],
        "pair": [time, time],
        "struct": {"a": [time]},
        "map": [["k", time]],
        "dictionary": time,
    }
    assert second == dict.fromkeys(first)


def test_a_column_that_json_cannot_have_is_named():
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    for column in (pa.array([1], pa.timestamp("us", "No/Where")), broken):
        with pytest.raises(
            UnreadableFileError, match=r"the column 'when', of type .*, cannot be written as JSON \(.+\)"
        ):
            list(json_rows(pa.table({"when": column})))
