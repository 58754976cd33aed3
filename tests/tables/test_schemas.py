from __future__ import annotations

import pyarrow as pa
import pytest

from pellucid.errors import BatchError, UnreadableFileError
from pellucid.tables.schemas import check_same_columns, json_schema, text_schema, type_names


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_texts_of_any_kind_become_large_strings_and_all_columns_may_have_nulls(kind):
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("text", kind)], metadata={"a": "b"})
    expected = pa.schema([("n", pa.int64()), ("text", pa.large_string())])
    assert text_schema(schema, "text").equals(expected, check_metadata=True)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (pa.schema([("a", pa.string()), ("a", pa.string())]), "two columns have the same name"),
        (pa.schema([("body", pa.string())]), "it has no column 'text'; its columns are 'body'"),
        (pa.schema([("text", pa.list_(pa.string()))]), "the column 'text' has the type list<"),
        (pa.schema([(str(n), pa.string()) for n in range(10_001)]), "it has 10,001 columns; at most 10,000"),
    ],
)
def test_a_table_without_a_column_of_texts_is_refused(schema, message):
    with pytest.raises(UnreadableFileError, match=message):
        text_schema(schema, "text")


def test_json_has_its_texts_first_and_a_type_for_each_key():
    schema = json_schema({"n": {"int"}, "text": {"str"}, "x": {"int", "str"}}, "text")
    assert schema == pa.schema([("text", pa.string()), ("n", pa.int64()), ("x", pa.string())])


def test_files_with_the_same_columns_in_any_order_and_size_of_string_are_alike():
    first = pa.schema([("text", pa.string()), ("n", pa.int64())])
    second = pa.schema([("n", pa.int64()), ("text", pa.large_string())])
    assert type_names(first) == {"text": "string", "n": "int64"}
    check_same_columns([first, second])
    with pytest.raises(BatchError, match=r"differ in 'n' \(double and int64\)"):
        check_same_columns([first, pa.schema([("text", pa.string()), ("n", pa.float64())])])
    with pytest.raises(BatchError, match="differ in 'm', 'n'"):
        check_same_columns([first, pa.schema([("text", pa.string()), ("m", pa.int64())])])
