"""Chunks as rows of a table: what a row is, and how it goes into Arrow and comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from pellucid.types import Float32


@dataclass(frozen=True)
class Row:
    """A chunk.

    Attributes:
        file: the name of its file.
        file_digest: SHA-256 of the file's bytes.
        size: of the file, in bytes.
        modified: when the file was changed last, in nanoseconds since 1970.
        part: of the file, such as "page 3", or "".
        start: the first of its characters in the text of that part.
        end: the one after the last.
        first_line: the line of the first, from 1.
        last_line: the line of the last.
        text: the characters.
        digest: SHA-256 of them.
    """

    file: str
    file_digest: str
    size: int
    modified: int
    part: str
    start: int
    end: int
    first_line: int
    last_line: int
    text: str
    digest: str


def schema_of(dimensions: int) -> Any:
    """The columns of a table of chunks: what a row has, and ``vector``, ``float32[d]``."""
    import pyarrow  # type: ignore[import-untyped]

    types = {"str": pyarrow.string(), "int": pyarrow.int64()}
    columns = [pyarrow.field(field.name, types[str(field.type)]) for field in fields(Row)]
    return pyarrow.schema([*columns, pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), dimensions))])


def to_table(rows: Sequence[Row], vectors: Float32, dimensions: int) -> Any:
    """Rows and their vectors, ``float32[n, d]``, as an Arrow table."""
    import pyarrow

    columns = zip(*(astuple(row) for row in rows), strict=True)
    flat = pyarrow.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    schema = schema_of(dimensions)
    arrays = [pyarrow.array(column, type=field.type) for column, field in zip(columns, schema, strict=False)]
    vector = pyarrow.FixedSizeListArray.from_arrays(flat, dimensions)
    return pyarrow.table([*arrays, vector], schema=schema)


def in_order(batches: Any, schema: Any) -> Any:
    """Batches of rows with the columns in the order of a schema, one batch in memory at a time."""
    import pyarrow

    return pyarrow.RecordBatchReader.from_batches(schema, (batch.select(schema.names) for batch in batches))


_TYPES = {field.name: field.type for field in fields(Row)}
"""The names of a row's values, and of their types."""


def from_record(found: dict[str, Any]) -> Row:
    """A row of what was found, which may say more than that.

    Raises:
        TypeError: a value is missing, or of another type.
    """
    row = Row(**{name: found[name] for name in _TYPES})
    if not all(type(found[name]).__name__ == kind for name, kind in _TYPES.items()):
        raise TypeError("a row of other types")
    return row
