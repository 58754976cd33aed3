"""Rows of files of lines, JSON, CSV and text: what each of them says, or what is wrong with it. No value is quoted."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

_LONGEST_FIELD = (1 << 31) - 1
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
        if kind == "text":
            yield _text(offset, line, column)
        elif line.strip():  # An empty line is no row of JSON.
            yield _json(offset, line, column)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    offset = file.tell()
    for line in file:
        yield offset, line
        offset += len(line)


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
    if fault is None and b"\\u" in line and not _is_utf8(json.dumps(values, ensure_ascii=False)):
        fault = "it has half a character (a lone surrogate)"
    return Record(offset, fault=fault) if fault is not None else Record(offset, values)


def _fault_of(values: Any, column: str) -> str | None:
    if not isinstance(values, dict):
        return "it is not an object of JSON"
    if values.get(column) is None:
        return f"it has no {column!r}"
    return None if isinstance(values[column], str) else f"its {column!r} is no text"


def _csv(file: BinaryIO, names: list[str], column: str) -> Iterator[Record]:
    """Rows of CSV (RFC 4180), whose fields may have line ends in them."""
    csv.field_size_limit(_LONGEST_FIELD)
    end = file.tell()

    def decoded() -> Iterator[str]:
        nonlocal end
        for line in file:
            end += len(line)
            yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(decoded(), strict=True)
    while True:
        offset = end
        try:
            fields = next(reader, None)
        except csv.Error:
            yield Record(offset, fault="its quotes do not fit together")
            continue
        if fields is None:
            return
        if not fields:
            continue
        values = dict(zip(names, fields, strict=False))
        if len(fields) != len(names):
            yield Record(offset, fault=f"it has {len(fields)} fields, and the header {len(names)}")
        elif not _is_utf8("".join(fields)):
            yield Record(offset, fault="it is not UTF-8")
        elif column in values:
            yield Record(offset, values)
        else:
            yield Record(offset, fault=f"it has no {column!r}")


def header_of(path: Path) -> tuple[list[str], int]:
    """The names of a CSV file's columns, and the byte after them."""
    with path.open("rb") as file:
        lines = iter(file.readline, b"")
        names = next(csv.reader(line.decode("utf-8-sig", "surrogateescape") for line in lines), [])
        return names, file.tell()


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
