"""A look at the whole input before any work: which rows and columns there are, and the digest of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pellucid.batch.files import names_of
from pellucid.errors import BatchError, UnreadableFileError, printable
from pellucid.tables import parquet
from pellucid.tables.arrow import ARROW_ERRORS, Schema
from pellucid.tables.reader import InputFile, check_part_size, stamp_of
from pellucid.tables.records import (
    KINDS,
    Record,
    check_column_count,
    check_encoding,
    note_kinds,
    read_header,
    read_records,
)
from pellucid.tables.schemas import check_same_columns, json_schema, lines_schema, text_schema

_BYTES_PER_READ = 1 << 20
_READ_ERRORS: tuple[type[Exception], ...] = (*ARROW_ERRORS, UnicodeError)


@dataclass(frozen=True)
class Survey:
    """The input of a job.

    Attributes:
        files: in the order of their paths.
        schema: the columns of all rows, the texts among them.
    """

    files: tuple[InputFile, ...]
    schema: Schema


def survey(
    paths: Sequence[Path],
    column: str,
    rows_per_part: int,
    *,
    more_columns: Mapping[str, str] | None = None,
    on_bytes: Callable[[int], object] = lambda _bytes: None,
) -> Survey:
    """Read all files once, for their digests, rows and columns.

    Args:
        paths: the files, from :func:`pellucid.batch.files.find`.
        column: the column of texts; for plain lines, the name that they get.
        rows_per_part: how many rows a part has.
        more_columns: other columns of texts, each with the option that names it.
        on_bytes: called with the number of bytes that were read since the last call.

    Raises:
        BatchError: a file cannot be read, has no such column, or has other columns than the file before it.
    """
    more_columns = more_columns or {}
    files: list[InputFile] = []
    schemas: list[Schema] = []
    json_kinds: dict[str, set[str]] = {}
    for path, name in zip(paths, names_of(paths), strict=True):
        kind = KINDS[path.suffix.lower()]
        stamp = stamp_of(path)
        offsets: list[int] = []
        try:
            sha256 = _sha256(path, on_bytes)
            if kind == "parquet":
                rows, schema = parquet.describe(path)
                schemas.append(_text_schema(schema, column, more_columns))
            else:
                check_encoding(path)
                if kind != "jsonl":
                    found = lines_schema(_column_names(path, kind, column))
                    schemas.append(_text_schema(found, column, more_columns))
                rows = _survey_lines(path, kind, (column, *more_columns), rows_per_part, offsets, json_kinds)
        except UnreadableFileError as error:
            raise BatchError(f"{printable(path)}: {error}") from error
        except _READ_ERRORS as error:
            raise BatchError(f"{printable(path)} cannot be read ({printable(str(error))}).") from error
        files.append(InputFile(path, name, kind, stamp, sha256, rows, tuple(offsets)))
        files[-1].check_unchanged()
    if any(file.kind == "jsonl" for file in files):
        schemas.append(json_schema(json_kinds, column, *more_columns))
    check_same_columns(schemas)
    return Survey(tuple(files), schemas[0])


def _text_schema(schema: Schema, column: str, more_columns: Mapping[str, str]) -> Schema:
    """A file's schema with all its columns of texts (:func:`~pellucid.tables.schemas.text_schema`)."""
    schema = text_schema(schema, column)
    for name, option in more_columns.items():
        schema = text_schema(schema, name, option)
    return schema


def _column_names(path: Path, kind: str, column: str) -> list[str]:
    if kind == "text":
        return [column]
    with path.open("rb") as file:
        return read_header(file)[0]


def _survey_lines(
    path: Path,
    kind: str,
    columns: Sequence[str],
    rows_per_part: int,
    offsets: list[int],
    json_kinds: dict[str, set[str]],
) -> int:
    """Count the rows of a file of lines, and note where each part begins and which kinds of values JSON has."""
    rows = 0
    with path.open("rb") as file:
        records = read_records(file, kind, columns[0], more_columns=columns[1:])
        for record in _note_parts(records, path, rows_per_part, offsets):
            rows += 1
            if kind == "jsonl" and record.fault is None:
                note_kinds(json_kinds, record.values)
                check_column_count(len(json_kinds))
    return rows


def _note_parts(records: Iterable[Record], path: Path, rows_per_part: int, offsets: list[int]) -> Iterator[Record]:
    """Pass records on, and add to ``offsets`` where each part begins. Refuses a part that takes too much memory."""
    begin = 0  # The part's first byte, moved on by the bytes of rejected rows, which take no memory.
    rejected_at = None
    for number, record in enumerate(records):
        offset = record.offset
        if number % rows_per_part == 0:
            offsets.append(offset)
            begin = offset
        elif rejected_at is not None:
            begin += offset - rejected_at
        rejected_at = None if record.fault is None else offset
        check_part_size(offset - begin, path, rows_per_part)
        yield record


def _sha256(path: Path, on_bytes: Callable[[int], object]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BYTES_PER_READ):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()
