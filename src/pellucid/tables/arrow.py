"""Arrow columns and tables, made of NumPy arrays and Python lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pellucid.errors import MissingExtraError
from pellucid.types import Float32, Int32, Int64

try:
    import pyarrow as pa  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingExtraError("pyarrow", "batch") from error

Table: TypeAlias = pa.Table
Schema: TypeAlias = pa.Schema
Batch: TypeAlias = pa.RecordBatch
Column: TypeAlias = pa.Array
ARROW_ERRORS: tuple[type[Exception], ...] = (OSError, pa.ArrowException)
"""What PyArrow raises where a file cannot be read."""

_TYPES = {"str": pa.string(), "int": pa.int64()}


def vector_column(vectors: npt.NDArray[Any], *, packed_bits: bool = False) -> pa.Array:
    """Vectors, ``[n, d]``, as lists of a fixed size; with ``packed_bits``, ``uint8[n, d]`` as bytes of a fixed size."""
    width = vectors.shape[1]
    values = np.ascontiguousarray(vectors)
    if packed_bits:
        return pa.Array.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(values.tobytes())])
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)


def number_column(numbers: Float32) -> pa.Array:
    """Numbers, ``float32[n]``, as a column."""
    return pa.array(numbers, pa.float32())


def list_column(values: npt.NDArray[Any], offsets: Int32) -> pa.Array:
    """Lists of numbers: row ``i`` has ``values[offsets[i]:offsets[i + 1]]``."""
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def name_column(names: Sequence[str], which: Int64) -> pa.Array:
    """A column of strings: for each of ``which``, ``int64[n]``, the name at that place."""
    return pa.array(names, pa.string()).take(pa.array(which, pa.int64()))


def with_nulls(column: pa.Array, rows: Sequence[int | None]) -> pa.Array:
    """The values at ``rows`` of a column, and a null for each None."""
    return column.take(pa.array(rows, pa.int64()))


def keep_rows(table: Table, keep: npt.NDArray[np.bool_]) -> Table:
    """The rows where ``keep``, ``bool[rows]``, is True."""
    try:
        return table.filter(pa.array(keep))
    except pa.ArrowNotImplementedError:  # PyArrow cannot filter every type, but can slice every one.
        pass
    edges = np.flatnonzero(np.diff(keep.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return pa.concat_tables([table.slice(start, stop - start) for start, stop in edges.tolist()] or [table.slice(0, 0)])


def schema_of(columns: Mapping[str, str], more: Mapping[str, Any]) -> Schema:
    """A schema.

    Args:
        columns: from each column's name to its type, ``"str"`` or ``"int"``.
        more: further columns, and their types in Arrow.
    """
    fields = [pa.field(name, _TYPES[kind]) for name, kind in columns.items()]
    return pa.schema([*fields, *(pa.field(name, kind) for name, kind in more.items())])


def table_of(columns: Mapping[str, str], values: Iterable[Sequence[Any]], more: Mapping[str, Column]) -> Table:
    """A table.

    Args:
        columns: from each column's name to its type, ``"str"`` or ``"int"``.
        values: the values of each of these columns.
        more: further columns.
    """
    arrays = [pa.array(column, _TYPES[kind]) for column, kind in zip(values, columns.values(), strict=True)]
    return pa.table([*arrays, *more.values()], names=[*columns, *more])


def stream(batches: Iterable[pa.RecordBatch], schema: Schema) -> pa.RecordBatchReader:
    """Batches with their columns in the order of a schema. Only one batch is in memory at a time."""
    return pa.RecordBatchReader.from_batches(schema, (batch.select(schema.names) for batch in batches))


def to_file_format(table: Table) -> bytes:
    """A table in Arrow's file format (https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def from_file_format(content: bytes) -> Table:
    """The table in bytes that :func:`to_file_format` made."""
    return pa.ipc.open_file(content).read_all()
