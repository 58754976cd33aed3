"""Rows of files of lines, JSON, CSV and text: what each of them says, or what is wrong with it. No value is quoted."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pellucid.errors import BatchError, printable

LONGEST_ROW = 16 << 20
"""Bytes of a row. A longer one is rejected, and never in memory whole."""
TOO_LONG = f"it is longer than {LONGEST_ROW >> 20} MiB"
_LONGEST_HEADER = 1 << 20
_MOST_COLUMNS = 10_000
_DEEPEST = 100
_QUOTES = "its quotes do not fit together"
_EXACT = 1 << 53
"""Whole numbers up to this are the same as floating-point numbers."""


@dataclass(frozen=True)
class Record:
    """A row of a file of lines: where it begins, and its values or what is wrong with it."""

    offset: int
    values: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


def records(file: BinaryIO, kind: str, column: str, header: tuple[list[str], int] | None = None) -> Iterator[Record]:
    """The rows of a file from where it stands on, good and bad.

    Args:
        file: opened, at the beginning of a row or of the file.
        kind: "jsonl", "csv" or "text".
        column: where the texts are.
        header: of CSV, what :func:`header_of` says, if that is known.
    """
    if kind == "csv":
        names, begin = header or header_of(Path(file.name))
        if file.tell() < begin:
            file.seek(begin)
        yield from _csv(file, names, column)
        return
    for offset, line in _lines(file):
        if line is None:
            yield Record(offset, fault=TOO_LONG)
        elif kind == "text":
            yield _text(offset, line, column)
        elif line.strip():  # An empty line is not a row of JSON.
            yield _json(offset, line, column)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Where each line begins, and the line; None for one that is too long."""
    offset = file.tell()
    while line := file.readline(LONGEST_ROW + 1):
        if len(line) <= LONGEST_ROW:
            yield offset, line
            offset += len(line)
        else:
            _skip_line(file, line)
            yield offset, None
            offset = file.tell()


def _skip_line(file: BinaryIO, begun: bytes) -> None:
    """Read on to the end of a line that begins with ``begun``."""
    while begun and not begun.endswith(b"\n"):
        begun = file.readline(LONGEST_ROW)


def _text(offset: int, line: bytes, column: str) -> Record:
    try:
        encoding = "utf-8-sig" if offset == 0 else "utf-8"
        return Record(offset, {column: line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)})
    except UnicodeDecodeError:
        return Record(offset, fault="it is not UTF-8")


def _json(offset: int, line: bytes, column: str) -> Record:
    try:
        values = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        return Record(offset, fault="it is not UTF-8")
    except (ValueError, RecursionError):
        return Record(offset, fault="it is not JSON")
    fault = _fault_of(values, column)
    if fault is None and line.count(b"[") + line.count(b"{") > _DEEPEST and not _is_shallow(values):
        fault = f"it is nested more than {_DEEPEST} deep"
    if fault is None and b"\\u" in line and not _is_utf8(json.dumps(values, ensure_ascii=False)):
        fault = "it has half a character (a lone surrogate)"
    return Record(offset, fault=fault) if fault is not None else Record(offset, values)


def _is_shallow(value: Any) -> bool:
    """Whether a value is nested at most so deep that what reads it next can."""
    layer = [value]
    for _ in range(_DEEPEST):
        if not layer:
            return True
        lists = [each for each in layer if isinstance(each, list)]
        objects = [each.values() for each in layer if isinstance(each, dict)]
        layer = [inner for each in (*lists, *objects) for inner in each if isinstance(inner, (list, dict))]
    return not layer


def _fault_of(values: Any, column: str) -> str | None:
    if not isinstance(values, dict):
        return "it is not an object of JSON"
    if values.get(column) is None:
        return f"it has no {column!r}"
    return None if isinstance(values[column], str) else f"its {column!r} is no text"


class _RowLines:
    """The lines of a CSV file, decoded, as far as a row may reach.

    Attributes:
        begin, end: of the row: its first byte, and the byte after what was read of it.
        second: where its second line begins.
        stopped: whether the file, or what a row may have, came to an end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.stopped = False
        self.end = file.tell()
        self.begin_row()

    def begin_row(self) -> None:
        """What is read next is of another row."""
        self.begin, self.second = self.end, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_ROW + 1)
        self.end += len(line)
        self.second = self.second or self.end
        if not line or self.end - self.begin > LONGEST_ROW:
            self.stopped = True
            raise StopIteration
        return line.decode("utf-8", "surrogateescape")

    def skip_line(self) -> None:
        """Put the file after the first line of the row."""
        self._file.seek(self.second - 1)
        _skip_line(self._file, self._file.read(1))


def _csv(file: BinaryIO, names: list[str], column: str) -> Iterator[Record]:
    """Rows of CSV (RFC 4180), whose fields may have line ends in them.

    A quote that is not closed would make one row of the rest of the file. It costs its line: the next is read as a row.
    """
    csv.field_size_limit(LONGEST_ROW)
    while True:
        lines = _RowLines(file)
        reader = csv.reader(lines, strict=True)
        while not lines.stopped:
            lines.begin_row()
            try:
                fields = next(reader, None)
            except csv.Error:
                yield Record(lines.begin, fault=_QUOTES)
                continue
            if fields:
                yield _csv_row(lines.begin, fields, names, column)
            elif lines.end - lines.begin > LONGEST_ROW:
                yield Record(lines.begin, fault=TOO_LONG)
        if lines.end == lines.begin:
            return
        lines.skip_line()


def _csv_row(offset: int, fields: list[str], names: list[str], column: str) -> Record:
    values = dict(zip(names, fields, strict=False))
    if len(fields) != len(names):
        return Record(offset, fault=f"it has {len(fields)} fields, and the header {len(names)}")
    if not _is_utf8("".join(fields)):
        return Record(offset, fault="it is not UTF-8")
    return Record(offset, values) if column in values else Record(offset, fault=f"it has no {column!r}")


def header_of(path: Path) -> tuple[list[str], int]:
    """The names of a CSV file's columns, and the byte after them.

    Raises:
        BatchError: the header is not UTF-8, not CSV, or far too long.
    """
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(max(0, _LONGEST_HEADER - file.tell())), b"")
        try:
            names = next(csv.reader((line.decode("utf-8-sig") for line in lines), strict=True), [])
        except UnicodeDecodeError:
            raise BatchError(
                f"{printable(path)}: the header is not UTF-8. Convert the file first, as with: iconv -f LATIN1 -t UTF-8"
            ) from None
        except csv.Error as error:
            raise BatchError(f"{printable(path)}: the first line is not the header of a CSV file ({error}).") from None
        if file.tell() >= _LONGEST_HEADER:
            raise BatchError(f"{printable(path)}: the header is longer than {_LONGEST_HEADER >> 20} MiB.")
        check_columns(names, path)
        return names, file.tell()


def check_columns(names: Collection[str], path: Path) -> None:
    """Refuse a table with more columns than anybody has.

    Raises:
        BatchError: there are too many.
    """
    if len(names) > _MOST_COLUMNS:
        raise BatchError(f"{printable(path)} has {len(names):,} columns; at most {_MOST_COLUMNS:,} can be read.")


def see(seen: dict[str, set[str]], values: dict[str, Any]) -> None:
    """Note of what kinds the values of a JSON object are."""
    for key, value in values.items():
        kinds = seen.setdefault(key, set())
        if value is not None:
            kinds.add(_kind_of(value))


def _kind_of(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return type(value).__name__
    return "int" if -_EXACT <= value <= _EXACT else "long" if -(2**63) <= value < 2**63 else "other"


def column_type(kinds: set[str]) -> str:
    """What a column of JSON is stored as, by what was seen in it: whatever else than these, as strings.

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
