"""Chunks as rows of a table, and what is read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from pellucid.errors import MissingExtraError
from pellucid.reprs import short_repr

try:
    from pellucid.tables import arrow
    from pellucid.tables.vector_columns import ColumnType, column_in, rows_of
except MissingExtraError:  # LanceDB would install PyArrow.
    raise MissingExtraError("lancedb", "search") from None

VECTOR = "vector"


@dataclass(frozen=True)
class Row:
    """A chunk.

    Attributes:
        file: the name of its file.
        file_digest: the SHA-256 of the file's bytes.
        size: the file's size in bytes.
        modified: when the file was last changed, in nanoseconds since 1970.
        part: the part of the file, such as "page 3"; "" for the whole file.
        start: the chunk's first character in the text of that part.
        end: the character after its last.
        first_line: the line where it begins, from 1.
        last_line: the line where it ends.
        text: its characters.
        digest: their SHA-256.
        heading: the heading that most of it stands under, or in code the function or class; "" if there is none.
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
    heading: str = ""

    __repr__ = short_repr


@dataclass(frozen=True)
class IndexedFile:
    """A file as the index has it: its size in bytes, when it was changed in nanoseconds since 1970, and its SHA-256."""

    size: int
    modified: int
    digest: str

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class RankedRow:
    """A chunk in a ranking, its score there, and a column of one row with its vector or vectors."""

    row: Row
    score: float
    vector: arrow.Column

    __repr__ = short_repr


COLUMNS = {field.name: str(field.type) for field in fields(Row)}
"""The names of a row's values, and of their types."""


def schema_of(kind: ColumnType) -> arrow.Schema:
    """The columns of a table of chunks: the attributes of a row, and ``vector``, of this type."""
    return arrow.schema_of(COLUMNS, {VECTOR: kind})


def to_table(rows: Sequence[Row], vectors: arrow.Column) -> arrow.Table:
    """Rows, and their vectors in a column of as many rows, as an Arrow table."""
    return arrow.table_of(COLUMNS, zip(*(astuple(row) for row in rows), strict=True), {VECTOR: vectors})


def vectors_by_digest(table: arrow.Table, kind: ColumnType) -> dict[str, arrow.Column]:
    """The vectors of a table with the columns ``digest`` and ``vector``: a column of one row for each digest."""
    return dict(zip(table["digest"].to_pylist(), rows_of(column_in(table, VECTOR, kind)), strict=True))


def from_record(values: dict[str, Any]) -> Row:
    """The row in what a search found; other values there are ignored.

    An index of an older version has no headings.

    Raises:
        KeyError, TypeError: a value is missing, or has another type.
    """
    values = {"heading": ""} | values
    row = Row(**{name: values[name] for name in COLUMNS})
    if not all(type(values[name]).__name__ == kind for name, kind in COLUMNS.items()):
        raise TypeError("a value of another type")
    return row
