from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.batch.survey import survey
from pellucid.tables.reader import PartReader
from pellucid.tables.records import column_type, note_kinds

BIG = 2**53 + 1  # Which no double is.


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False], "bool"),
        ([1, None, -(2**63)], "int64"),
        ([1, 2.5], "double"),
        ([BIG, 2.5], "string"),
        ([2**63], "string"),
        ([True, 1], "string"),
        (["a", 1], "string"),
        ([[1], {"a": 1}], "string"),
        ([None], "string"),
    ],
)
def test_a_column_of_json_is_of_a_type_that_holds_all_that_was_seen(tmp_path, values, kind):
    seen = {}
    for value in values:
        note_kinds(seen, {"n": value})
    assert column_type(seen["n"]) == kind
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "a", "n": value}) + "\n" for value in values))
    found = survey([path], "text", 10)
    column = PartReader(found.schema, "text").read(found.files[0], 0, len(values), 10).table.column("n")
    assert column.type == pa.type_for_alias(kind)
    pq.write_table(pa.table({"n": column}), tmp_path / "n.parquet")
    stored = pq.read_table(tmp_path / "n.parquet").column("n").to_pylist()
    as_json = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    assert stored == (as_json if kind == "string" else values)
