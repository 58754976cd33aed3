"""Whole rows of a table of texts, for commands that write each row with something added to it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pellucid.errors import OptionError, UnreadableFileError, printable

if TYPE_CHECKING:
    from pellucid.cli.texts import TableFile
    from pellucid.tables.arrow import Table

_ROWS_PER_PIECE = 2048


def check_new_columns(table: TableFile, added: Iterable[str]) -> None:
    """Refuse a table that a command cannot add its columns to. Call this before any work.

    Args:
        table: the table, in which :func:`~pellucid.cli.texts.read_texts` has found the column with the texts.
        added: the columns that the command will add.

    Raises:
        OptionError: the table has one of the added columns already.
        UnreadableFileError: two columns have the same name.
    """
    names = _column_names(table)
    if len(set(names)) < len(names):
        raise UnreadableFileError(f"{printable(table.path)}: two columns have the same name. Rename one of them.")
    if taken := [name for name in added if name in names]:
        raise OptionError(f"{printable(table.path)} has a column {taken[0]!r} already. Rename that column first.")


def _column_names(table: TableFile) -> list[str]:
    """The names in the header or in the schema; for JSON lines, which have neither, the keys of all rows."""
    from pellucid.tables.records import read_header, read_records

    if table.kind == "parquet":
        from pellucid.tables import parquet

        return list(parquet.describe(table.path)[1].names)
    with table.path.open("rb") as source:
        if table.kind == "csv":
            return read_header(source)[0]
        records = read_records(source, table.kind, table.column)
        return list(dict.fromkeys(key for record in records if record.fault is None for key in record.values))


def read_rows(table: TableFile) -> Iterator[dict[str, Any]]:
    """The rows of a table as values that JSON has, by column.

    They are the rows whose texts :func:`~pellucid.cli.texts.read_texts` gives, in the same order. That function has
    checked the table and names a row that cannot be used, so this one passes over such a row.

    Raises:
        UnreadableFileError: a column of Parquet has values that cannot be written as JSON.
    """
    from pellucid.tables.json_values import json_value
    from pellucid.tables.records import read_header, read_records

    if table.kind == "parquet":
        from pellucid.tables.added import json_rows

        try:
            for piece in read_tables(table):
                yield from json_rows(piece)
        except UnreadableFileError as error:
            raise UnreadableFileError(f"{printable(table.path)}: {error}") from None
        return
    with table.path.open("rb") as source:
        header = read_header(source) if table.kind == "csv" else None
        for record in read_records(source, table.kind, table.column, header=header):
            if record.fault is None:
                yield json_value(record.values)


def read_tables(table: TableFile) -> Iterator[Table]:
    """The same rows as Arrow tables of a few rows each, after one without rows.

    The columns keep their types; only texts that Parquet stores as a dictionary become strings.
    """
    from pellucid.batch.survey import survey
    from pellucid.tables.reader import PartReader

    found = survey([table.path], table.column, _ROWS_PER_PIECE)
    schema = found.schema
    if table.kind == "parquet":
        from pellucid.tables import parquet, schemas

        schema = schemas.with_own_text_type(schema, parquet.describe(table.path)[1], table.column)
    yield schema.empty_table()
    reader, (surveyed,) = PartReader(found.schema, table.column), found.files
    for start in range(0, surveyed.rows, _ROWS_PER_PIECE):
        yield reader.read(surveyed, start, min(start + _ROWS_PER_PIECE, surveyed.rows), _ROWS_PER_PIECE).table.cast(
            schema
        )


def csv_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Rows as CSV (RFC 4180), the names of all their columns first.

    Null is an empty field. What is neither a text nor null is written as in JSON.
    """
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    yield _csv_line(names)
    for row in rows:
        yield _csv_line([_csv_field(row.get(name)) for name in names])


def _csv_line(fields: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
