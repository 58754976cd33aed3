"""Rows of a table with more columns: vectors, clusters. Other columns stay as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.tables.arrow import Table, vector_column  # First: it says what to install if PyArrow is missing.

import pyarrow as pa  # type: ignore[import-untyped]  # isort: skip
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # isort: skip

Column = Sequence[Any] | npt.NDArray[Any]


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
    """A table of columns, by name; ``types`` has Arrow's names of their types."""
    return pa.table({name: _arrow(values, types[name]) for name, values in columns.items()})


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


def plain_rows(table: Table) -> Iterator[dict[str, Any]]:
    """Each row as values that JSON has. A number that is not finite is null, and what JSON does not have is text."""
    for number, field in enumerate(table.schema):
        if pa.types.is_temporal(field.type) or pa.types.is_decimal(field.type):  # Python has no nanoseconds.
            table = table.set_column(number, field.name, table.column(number).cast(pa.string()))
    for row in table.to_pylist():
        yield {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if np.isfinite(value) else None
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case None | bool() | int() | str():
            return value
    return str(value)


def _arrow(values: Column, kind: str | None = None) -> pa.Array:
    if isinstance(values, np.ndarray):
        return vector_column(values)
    return pa.array(values, None if kind is None else pa.type_for_alias(kind))
