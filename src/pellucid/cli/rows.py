"""Whole rows of a table of texts, for commands that write each row with something added to it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.errors import OptionError, UnreadableFileError, printable

if TYPE_CHECKING:
    from pellucid.tables.arrow import Table

_ROWS_PER_PIECE = 2048


def read_rows(file: Path, column: str, added: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The rows of a table as values that JSON has, by column.

    They are the rows whose texts :func:`~pellucid.cli.texts.read_texts` gives, in the same order. That function has
    checked the table and names a row that cannot be used, so this one passes over such a row.

    Args:
        file: a ``.csv``, ``.jsonl`` or ``.parquet`` file.
        column: the column with the texts.
        added: the columns that the command will add.

    Raises:
        OptionError: the table has one of the added columns already.
        UnreadableFileError: two columns have the same name.
    """
    from pellucid.tables.records import read_header, read_records, table_kind

    kind = table_kind(file)
    if kind == "parquet":
        from pellucid.tables.added import plain_rows

        for table in read_tables(file, column, added):
            yield from plain_rows(table)
        return
    with file.open("rb") as source:
        header = read_header(source) if kind == "csv" else None
        if header is not None and len(set(header[0])) < len(header[0]):
            raise UnreadableFileError(f"{printable(file)}: two columns have the same name. Rename one of them.")
        for record in read_records(source, kind, column, header=header):
            if record.fault is None:
                _check_new(file, record.values, added)
                yield record.values


def read_tables(file: Path, column: str, added: Iterable[str]) -> Iterator[Table]:
    """The same rows as Arrow tables of a few rows each, after one without rows. The columns keep their types."""
    from pellucid.batch.survey import survey
    from pellucid.tables.reader import PartReader

    found = survey([file], column, _ROWS_PER_PIECE)
    _check_new(file, found.schema.names, added)
    yield found.schema.empty_table()
    reader, (surveyed,) = PartReader(found.schema, column), found.files
    for start in range(0, surveyed.rows, _ROWS_PER_PIECE):
        yield reader.read(surveyed, start, min(start + _ROWS_PER_PIECE, surveyed.rows), _ROWS_PER_PIECE).table


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
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _check_new(file: Path, names: Iterable[str], added: Iterable[str]) -> None:
    if taken := [name for name in added if name in names]:
        raise OptionError(f"{printable(file)} has a column {taken[0]!r} already. Rename that column first.")
