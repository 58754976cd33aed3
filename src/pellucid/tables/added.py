"""Rows of a table with more columns: vectors, clusters. Other columns stay as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.errors import UnreadableFileError
from pellucid.tables.arrow import Table, vector_column  # First: it says what to install.
from pellucid.tables.json_values import json_value

import pyarrow as pa  # type: ignore[import-untyped]  # isort: skip
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # isort: skip

Column: TypeAlias = Sequence[Any] | npt.NDArray[Any] | pa.Array
"""The values of rows: plain ones, vectors ``[m, d]``, or a column of Arrow as it is."""


def add_columns(
    tables: Iterator[Table], windows: Iterable[Mapping[str, Column]], types: Mapping[str, str] | None = None
) -> Iterator[Table]:
    """Give consecutive rows their new columns. Only the rows of a window are in memory.

    Args:
        tables: the rows, in pieces of any size. There is at least one piece, which may be empty.
        windows: the new columns of the next rows, by name: a value for each row, or vectors, ``[m, d]``.
        types: Arrow's names of the types of columns, because null alone has no type.
    """
    pending = next(tables)
    for columns in windows:
        count = len(next(iter(columns.values())))
        while len(pending) < count:
            pending = pa.concat_tables([pending, next(tables)])
        table, pending = pending.slice(0, count), pending.slice(count)
        for name, values in columns.items():
            table = table.append_column(name, _arrow(values, (types or {}).get(name)))
        yield table


def table_of_columns(columns: Mapping[str, Column], types: Mapping[str, str]) -> Table:
    """A table of columns, by name; ``types`` has Arrow's names of their types, except for vectors, ``[m, d]``."""
    return pa.table({name: _arrow(values, types.get(name)) for name, values in columns.items()})


def write_tables(path: Path, tables: Iterable[Table]) -> None:
    """Write tables of the same columns to one Parquet file, one after the other.

    Raises:
        OSError: the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table.cast(writer.schema))


def json_rows(table: Table) -> Iterator[dict[str, Any]]:
    """Each row as values that JSON has (:func:`~pellucid.tables.json_values.json_value`). Times and decimals are text.

    Raises:
        UnreadableFileError: a column has values that cannot be written as text, such as times in an unknown zone.
    """
    columns = [_json_values(name, table.column(number)) for number, name in enumerate(table.schema.names)]
    for row in zip(*columns, strict=True):
        yield dict(zip(table.schema.names, row, strict=True))


def _json_values(name: str, column: pa.ChunkedArray) -> list[Any]:
    try:
        kind = _json_type(column.type)
        values = (column if kind == column.type else column.cast(kind)).to_pylist()
    except (ValueError, pa.ArrowException) as error:  # ValueError: a string is not UTF-8.
        raise UnreadableFileError(
            f"the column {name!r}, of type {column.type}, cannot be written as JSON ({error}). Leave it out, or change "
            f"its type."
        ) from error
    return [json_value(value) for value in values]


def _json_type(kind: pa.DataType) -> pa.DataType:
    """A type with strings in the place of times and decimals, at any depth: Python's times have no nanoseconds."""

    def convert(field: pa.Field) -> pa.Field:
        return field.with_type(_json_type(field.type))

    types = pa.types
    if types.is_temporal(kind) or types.is_decimal(kind):
        kind = pa.string()
    elif types.is_dictionary(kind):
        kind = _json_type(kind.value_type)
    elif types.is_struct(kind):
        kind = pa.struct([convert(field) for field in kind])
    elif types.is_map(kind):
        kind = pa.map_(convert(kind.key_field), convert(kind.item_field))
    elif types.is_list(kind):
        kind = pa.list_(convert(kind.value_field))
    elif types.is_large_list(kind):
        kind = pa.large_list(convert(kind.value_field))
    elif types.is_fixed_size_list(kind):
        kind = pa.list_(convert(kind.value_field), kind.list_size)
    return kind


def _arrow(values: Column, kind: str | None = None) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if isinstance(values, np.ndarray):
        return vector_column(values)
    return pa.array(values, None if kind is None else pa.type_for_alias(kind))
