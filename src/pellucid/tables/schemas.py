"""Which columns a table has, and that one of them has texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pellucid.errors import BatchError, UnreadableFileError
from pellucid.tables.arrow import Schema
from pellucid.tables.records import check_column, check_column_count, column_type

import pyarrow as pa  # type: ignore[import-untyped]  # isort: skip


def text_schema(schema: Schema, column: str, option: str = "--column") -> Schema:
    """A file's schema, with its texts as large strings and a null allowed in every column.

    Args:
        schema: the file's.
        column: the column of texts.
        option: the option that names the column, for error messages.

    Raises:
        UnreadableFileError: there is no such column, it has no texts, or the columns cannot be told apart.
    """
    if len(set(schema.names)) < len(schema.names):
        raise UnreadableFileError("two columns have the same name.")
    check_column_count(len(schema.names))
    check_column(column, schema.names, option)
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise UnreadableFileError(f"the column {column!r} has the type {kind}; it must have texts.")
    schema = schema.set(schema.names.index(column), pa.field(column, pa.large_string())).remove_metadata()
    return pa.schema([field.with_nullable(True) for field in schema])  # Another file may have nulls there.


def with_own_text_type(schema: Schema, own: Schema, column: str) -> Schema:
    """A schema from :func:`text_schema` whose texts have the type of the file's ``own`` schema again.

    The texts of a dictionary become strings: one dictionary may not hold those of all rows.
    """
    kind = own.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return schema.set(schema.get_field_index(column), schema.field(column).with_type(kind))


def lines_schema(names: Sequence[str]) -> Schema:
    """The schema of CSV and of plain lines: every column has strings."""
    return pa.schema([(name, pa.string()) for name in names])


def json_schema(kinds: Mapping[str, set[str]], *columns: str) -> Schema:
    """The schema of JSON lines.

    Args:
        kinds: from each key to the kinds of values that were seen there (:func:`~pellucid.tables.records.note_kinds`).
        columns: the keys of texts.
    """
    types = {key: column_type(seen) for key, seen in kinds.items()} | dict.fromkeys(columns, "string")
    order = dict.fromkeys([*columns, *kinds])
    return pa.schema([(key, pa.type_for_alias(types[key])) for key in order])


def type_names(schema: Schema) -> dict[str, str]:
    """From each column's name to the name of its type. Large strings and strings are the same."""
    return {name: str(kind).removeprefix("large_") for name, kind in zip(schema.names, schema.types, strict=True)}


def check_same_columns(schemas: Sequence[Schema]) -> None:
    """Refuse files that do not all have the same columns.

    Raises:
        BatchError: two files differ; the columns are named.
    """
    first = type_names(schemas[0])
    for schema in schemas[1:]:
        other = type_names(schema)
        if other == first:
            continue
        missing = sorted(repr(name) for name in other.keys() ^ first.keys())
        changed = [
            f"{name!r} ({kind} and {first[name]})" for name, kind in other.items() if first.get(name, kind) != kind
        ]
        raise BatchError(
            f"the input files do not all have the same columns; they differ in {', '.join(missing or changed)}. Make "
            f"a job of each kind, with an output folder of its own."
        )
