"""The rows of JSON lines, CSV and plain lines: what each row holds, or what is wrong with it. No value is quoted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pellucid.errors import UnreadableFileError, plural

KINDS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "text"}
"""From the ending of a file's name to what kind of table it is."""
MAX_ROW_BYTES = 16 << 20
"""A longer row is rejected, and never held in memory whole."""
_SKIPPED_BYTES = 16 << 20
_MAX_HEADER_BYTES = 1 << 20
_MAX_COLUMNS = 10_000
_MAX_DEPTH = 100
_BAD_QUOTES = "its quotes do not match"
_NOT_UTF8 = "it is not UTF-8"
_MAX_EXACT_FLOAT = 1 << 53
"""Every whole number up to this one is also a float64."""
_NAMES_SHOWN, _LETTERS_SHOWN = 20, 80
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Record:
    """One row.

    Attributes:
        offset: the byte where it begins.
        values: what it holds, by the name of the column. A bad row has values only if they can be told apart.
        fault: what is wrong with it; None if nothing is.
    """

    offset: int
    values: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


def read_records(
    file: BinaryIO,
    kind: str,
    column: str,
    *,
    header: tuple[list[str], int] | None = None,
    max_row_bytes: int | None = None,
    texts_only: bool = False,
    more_columns: Sequence[str] = (),
) -> Iterator[Record]:
    """The rows of a file from its present position on, good and bad.

    Args:
        file: positioned at its beginning, or at the beginning of a row.
        kind: "jsonl", "csv" or "text".
        column: the name of the column of texts.
        header: for CSV, the result of :func:`read_header`; needed only if the file is not at its beginning.
        max_row_bytes: how long a row may be; None for ``MAX_ROW_BYTES``.
        texts_only: only the texts are used. So other JSON values may be nested to any depth, and texts may have half
            characters (lone surrogates). Both are faults otherwise.
        more_columns: other columns that must have a text in each row.

    Raises:
        UnreadableFileError: the header of a CSV file cannot be read.
    """
    limit = MAX_ROW_BYTES if max_row_bytes is None else max_row_bytes
    if kind == "csv":
        names, end = header or read_header(file)
        if file.tell() < end:
            file.seek(end)
        yield from _csv_records(file, names, (column, *more_columns), limit)
        return
    for offset, line in _lines(file, limit):
        if line is None:
            yield Record(offset, fault=too_long(limit))
        elif kind == "text":
            yield _text_record(offset, line, column)
        elif line.strip():  # An empty line is not a row of JSON.
            yield _json_record(offset, line, (column, *more_columns), texts_only=texts_only)


def table_kind(path: Path) -> str:
    """The kind of table that a file is: a value of ``KINDS``. Any other file is plain lines, "text"."""
    return KINDS.get(path.suffix.lower(), "text")


def check_encoding(path: Path) -> None:
    """Refuse UTF-16 and UTF-32, whose first two bytes are a byte order mark or have a zero.

    Raises:
        OSError: the file cannot be read.
        UnreadableFileError: the file has one of these encodings.
    """
    with path.open("rb") as file:
        start = file.read(2)
    if start in _UTF16_MARKS or b"\0" in start:
        raise UnreadableFileError(
            "it is not UTF-8 but probably UTF-16 or UTF-32. Convert it first, for example with: "
            "iconv -f UTF-16 -t UTF-8"
        )


def too_long(limit: int) -> str:
    """The fault of a row of more than ``limit`` bytes."""
    return f"it is longer than {limit >> 20} MiB"


def _lines(file: BinaryIO, limit: int) -> Iterator[tuple[int, bytes | None]]:
    """The offset of each line, and the line; None instead of a line of more than ``limit`` bytes."""
    offset = file.tell()
    while line := file.readline(limit + 1):
        if len(line) <= limit:
            yield offset, line
            offset += len(line)
        else:
            _skip_line(file, line)
            yield offset, None
            offset = file.tell()


def _skip_line(file: BinaryIO, beginning: bytes) -> None:
    """Read to the end of the line that starts with ``beginning``."""
    while beginning and not beginning.endswith(b"\n"):
        beginning = file.readline(_SKIPPED_BYTES)


def _text_record(offset: int, line: bytes, column: str) -> Record:
    encoding = "utf-8-sig" if offset == 0 else "utf-8"
    try:
        return Record(offset, {column: line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)})
    except UnicodeDecodeError:
        return Record(offset, fault=_NOT_UTF8)


def _json_record(offset: int, line: bytes, columns: Sequence[str], *, texts_only: bool) -> Record:
    try:
        values = json.loads(line.decode("utf-8-sig"))  # From bytes, json would accept half characters.
    except UnicodeDecodeError:
        return Record(offset, fault=_NOT_UTF8)
    except (ValueError, RecursionError):
        return Record(offset, fault="it is not JSON")
    fault = next(filter(None, (_json_fault(values, column) for column in columns)), None)
    if fault is not None:
        return Record(offset, values if isinstance(values, dict) else {}, fault)
    fault = None if texts_only else _storing_fault(values, line)
    return Record(offset, values) if fault is None else Record(offset, fault=fault)


def _storing_fault(values: dict[str, Any], line: bytes) -> str | None:
    """Why the values of a row cannot be written to another table, or None."""
    if line.count(b"[") + line.count(b"{") > _MAX_DEPTH and not _is_shallow(values):
        return f"it is nested more than {_MAX_DEPTH} deep"
    if b"\\u" in line and not _is_utf8(json.dumps(values, ensure_ascii=False)):
        return "it has half a character (a lone surrogate)"
    return None


def _json_fault(values: Any, column: str) -> str | None:
    if not isinstance(values, dict):
        return "it is not a JSON object"
    if values.get(column) is None:
        return f"it has no {column!r}"
    return None if isinstance(values[column], str) else f"its {column!r} is not a text"


def _is_shallow(value: Any) -> bool:
    """Whether a value is nested at most ``_MAX_DEPTH`` deep, so that what reads it next does not recurse too far."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        if not level:
            return True
        lists = [item for item in level if isinstance(item, list)]
        objects = [item.values() for item in level if isinstance(item, dict)]
        level = [inner for items in (*lists, *objects) for inner in items if isinstance(inner, (list, dict))]
    return not level


class _RowLines:
    """The decoded lines of a CSV file, no further than one row may reach.

    Attributes:
        begin: the byte where the row begins.
        end: the byte after what was read of the row.
        second: the byte where the row's second line begins.
        stopped: True if the file ended or the row became too long.
    """

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self.stopped = False
        self.end = file.tell()
        self.begin_row()

    def begin_row(self) -> None:
        """Count what is read next as another row."""
        self.begin, self.second = self.end, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._limit + 1)
        self.end += len(line)
        self.second = self.second or self.end
        if not line or self.end - self.begin > self._limit:
            self.stopped = True
            raise StopIteration
        return line.decode("utf-8", "surrogateescape")

    def skip_line(self) -> None:
        """Position the file after the first line of the row."""
        self._file.seek(self.second - 1)
        _skip_line(self._file, self._file.read(1))


def _csv_records(file: BinaryIO, names: list[str], columns: Sequence[str], limit: int) -> Iterator[Record]:
    """Rows of CSV (RFC 4180), whose fields may have line ends in them.

    A quote that is never closed would make one row of the rest of the file. So only its first line is lost, and the
    next line is read as a row.
    """
    csv.field_size_limit(limit)
    while True:
        lines = _RowLines(file, limit)
        reader = csv.reader(lines, strict=True)
        while not lines.stopped:
            lines.begin_row()
            try:
                fields = next(reader, None)
            except csv.Error:
                yield Record(lines.begin, fault=_BAD_QUOTES)
                continue
            if fields:
                yield _csv_record(lines.begin, fields, names, columns)
            elif lines.end - lines.begin > limit:
                yield Record(lines.begin, fault=too_long(limit))
        if lines.end == lines.begin:
            return
        lines.skip_line()


def _csv_record(offset: int, fields: list[str], names: list[str], columns: Sequence[str]) -> Record:
    values = dict(zip(names, fields, strict=False))
    if len(fields) != len(names):
        return Record(offset, fault=f"it has {plural(len(fields), 'field')}, and the header has {len(names)}")
    if not _is_utf8("".join(fields)):
        return Record(offset, fault=_NOT_UTF8)
    missing = [column for column in columns if column not in values]
    return Record(offset, fault=f"it has no {missing[0]!r}") if missing else Record(offset, values)


def read_header(file: BinaryIO) -> tuple[list[str], int]:
    """Read the first line of a CSV file, which names its columns.

    Args:
        file: positioned at its beginning.

    Returns:
        The names, and the offset of the byte after them.

    Raises:
        UnreadableFileError: the header is not UTF-8, not CSV, or far too long.
    """
    csv.field_size_limit(_MAX_HEADER_BYTES)
    lines = iter(lambda: file.readline(max(0, _MAX_HEADER_BYTES - file.tell())), b"")
    try:
        names = next(csv.reader((line.decode("utf-8-sig") for line in lines), strict=True), [])
    except UnicodeDecodeError:
        raise UnreadableFileError(
            "the header is not UTF-8. Convert the file first, for example with: iconv -f LATIN1 -t UTF-8"
        ) from None
    except csv.Error as error:
        raise UnreadableFileError(f"the first line is not the header of a CSV file ({error}).") from None
    if file.tell() >= _MAX_HEADER_BYTES:
        raise UnreadableFileError(f"the header is longer than {_MAX_HEADER_BYTES >> 20} MiB.")
    check_column_count(len(names))
    return names, file.tell()


def check_column(column: str, names: Sequence[str], option: str = "--column") -> None:
    """Refuse a table without the column of texts that an option names.

    Raises:
        UnreadableFileError: it has no such column, or several. The message names the columns that there are.
    """
    if column not in names:
        shown = ", ".join(f"{name[:_LETTERS_SHOWN]!r}" for name in names[:_NAMES_SHOWN]) or "none"
        more = " and others" if len(names) > _NAMES_SHOWN else ""
        advice = f"Choose one with {option}."
        if option != "--column" and len(names) == 1:  # As in a file of lines.
            advice += " A pair needs two columns of texts."
        raise UnreadableFileError(f"it has no column {column!r}; its columns are {shown}{more}. {advice}")
    if names.count(column) > 1:
        raise UnreadableFileError(f"it has several columns {column!r}.")


def check_column_count(count: int) -> None:
    """Refuse a table with an absurd number of columns.

    Raises:
        UnreadableFileError: there are too many.
    """
    if count > _MAX_COLUMNS:
        raise UnreadableFileError(f"it has {count:,} columns; at most {_MAX_COLUMNS:,} can be read.")


def note_kinds(kinds: dict[str, set[str]], values: dict[str, Any]) -> None:
    """Add the kinds of a JSON object's values to ``kinds``, key by key."""
    for key, value in values.items():
        seen = kinds.setdefault(key, set())
        if value is not None:
            seen.add(_kind_of(value))


def _kind_of(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return type(value).__name__
    return "int" if -_MAX_EXACT_FLOAT <= value <= _MAX_EXACT_FLOAT else "long" if -(2**63) <= value < 2**63 else "other"


def column_type(kinds: set[str]) -> str:
    """The Arrow type that holds all values of these kinds; "string" if no other does.

    >>> [column_type(kinds) for kinds in ({"int", "long"}, {"int", "float"}, {"long", "float"})]
    ['int64', 'double', 'string']
    """
    if kinds == {"bool"}:
        return "bool"
    if kinds and kinds <= {"int", "long"}:
        return "int64"
    return "double" if kinds and kinds <= {"int", "float"} else "string"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
