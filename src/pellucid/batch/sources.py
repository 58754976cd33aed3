"""Where rows come from: Parquet, JSON lines, CSV and lines of text; surveyed once, and then read part by part.

PyArrow is imported here, in ``stages.py`` and nowhere else in this package.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from pellucid.errors import BatchError, MissingExtraError

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingExtraError("pyarrow", "batch") from error

KINDS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "text"}
_BYTES_AT_ONCE = 1 << 20
_LONGEST_FIELD = (1 << 31) - 1
_JSON_KINDS: dict[frozenset[str], str] = {
    frozenset({"bool"}): "bool",
    frozenset({"int"}): "int64",
    frozenset({"float"}): "double",
    frozenset({"int", "float"}): "double",
}
"""What a column of JSON is stored as, by what was seen in it; whatever else was seen, as strings."""


@dataclass(frozen=True)
class InputFile:
    """One file, as it was surveyed.

    Attributes:
        path: where it is.
        name: what its output is named after; unique in the job.
        kind: a value of ``KINDS``.
        sha256: of its bytes.
        rows: how many it has, good or bad.
        offsets: of lines, at which byte each part begins; empty for Parquet.
    """

    path: Path
    name: str
    kind: str
    sha256: str
    rows: int
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What there is to do.

    Attributes:
        files: in the order of their names.
        schema: of all rows, the text among them.
    """

    files: tuple[InputFile, ...]
    schema: pa.Schema


@dataclass(frozen=True)
class Rows:
    """Some rows in a row, without those that cannot be used.

    Attributes:
        table: the good ones, in order.
        faults: the others: which row of the file, and what is wrong with it. No value is quoted.
    """

    table: pa.Table
    faults: tuple[tuple[int, str], ...]


def find(inputs: Sequence[str]) -> list[Path]:
    """The files that are meant: files, folders with everything below them, and patterns.

    Raises:
        BatchError: nothing is there, or a file is of no kind that can be read.
    """
    found: dict[Path, None] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            below = [file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix.lower() in KINDS]
        elif path.is_file():
            below = [path]
        else:
            below = [Path(name) for name in sorted(glob.glob(given, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
        if not below:
            raise BatchError(f"{given}: there is no file of that name, and none in a folder or of a pattern of it.")
        found |= dict.fromkeys(below)
    for path in found:
        if path.suffix.lower() not in KINDS:
            raise BatchError(f"{path} cannot be read: the name must end in {', '.join(KINDS)}.")
    return list(found)


def survey(
    paths: Sequence[Path], column: str, rows_per_part: int, *, told: Callable[[int], object] = lambda _bytes: None
) -> Survey:
    """Go through files once: their digests, rows and columns.

    Args:
        paths: of :func:`find`.
        column: where the texts are; of lines of text, the name that they get.
        rows_per_part: of a part.
        told: hears how many bytes have been gone through.

    Raises:
        BatchError: a file cannot be read, has no such column, or other columns than the one before.
    """
    files: list[InputFile] = []
    offsets: list[int]
    schemas: list[pa.Schema] = []
    seen: dict[str, set[str]] = {}
    for path, name in zip(paths, _names(paths), strict=True):
        kind = KINDS[path.suffix.lower()]
        try:
            sha256 = _sha256(path, told)
            if kind == "parquet":
                with pq.ParquetFile(path) as opened:
                    rows, offsets = opened.metadata.num_rows, []
                    schemas.append(_checked(path, opened.schema_arrow, column))
            else:
                rows, offsets = 0, []
                with path.open("rb") as file:
                    for row in _records(file, kind, column):
                        if rows % rows_per_part == 0:
                            offsets.append(row.offset)
                        rows += 1
                        if kind == "jsonl" and row.fault is None:
                            _see(seen, row.values)
                if kind != "jsonl":
                    names = _header(path)[0] if kind == "csv" else [column]
                    schemas.append(_checked(path, pa.schema([(name, pa.string()) for name in names]), column))
        except (OSError, pa.ArrowException, csv.Error) as error:
            raise BatchError(f"{path} cannot be read ({error}).") from error
        files.append(InputFile(path, name, kind, sha256, rows, tuple(offsets)))
    if any(file.kind == "jsonl" for file in files):
        where = next(file.path for file in files if file.kind == "jsonl")
        if seen and column not in seen:
            raise BatchError(f"{where}: no row has a {column!r}. There are {', '.join(map(repr, sorted(seen)))}.")
        types = {key: _JSON_KINDS.get(frozenset(kinds), "string") for key, kinds in {column: {"str"}, **seen}.items()}
        types[column] = "string"
        schemas.append(pa.schema([(key, pa.type_for_alias(kind)) for key, kind in types.items()]))
    _check_alike(schemas, files)
    return Survey(tuple(files), schemas[0])


class Reader:
    """Reads parts. Going on where the last part ended costs nothing; any other part is looked up.

    Args:
        schema: of the survey.
        column: where the texts are.
    """

    def __init__(self, schema: pa.Schema, column: str) -> None:
        self._schema = schema
        self._column = column
        self._opened: tuple[InputFile, int, Iterator[pa.RecordBatch]] | None = None

    def read(self, file: InputFile, start: int, stop: int, rows_per_part: int) -> Rows:
        """The rows from ``start`` to ``stop``; ``start`` is where a part of ``rows_per_part`` rows begins.

        Raises:
            BatchError: the file cannot be read, or has changed since it was surveyed.
        """
        try:
            if file.kind == "parquet":
                return self._parquet(file, start, stop)
            with file.path.open("rb") as opened:
                if start:
                    opened.seek(file.offsets[start // rows_per_part])
                records = list(islice(_records(opened, file.kind, self._column, header=_of(file)), stop - start))
        except (OSError, pa.ArrowException) as error:
            raise BatchError(f"{file.path} cannot be read ({error}).") from error
        if len(records) < stop - start:
            raise BatchError(f"{file.path} has fewer rows than when the job began: it was changed.")
        return self._table(records, start)

    def _parquet(self, file: InputFile, start: int, stop: int) -> Rows:
        if self._opened is None or self._opened[:2] != (file, start):
            self._opened = (file, start, _batches(file.path, start, stop - start))
        _, _, batches = self._opened
        parts: list[pa.RecordBatch] = []
        needed = stop - start
        while needed > 0:
            batch = next(batches, None)
            if batch is None:
                raise BatchError(f"{file.path} has fewer rows than when the job began: it was changed.")
            if len(batch) > needed:
                batches = _put_back(batch.slice(needed), batches)
                batch = batch.slice(0, needed)
            parts.append(batch)
            needed -= len(batch)
        self._opened = (file, stop, batches)
        return _good(pa.Table.from_batches(parts).cast(self._schema), self._column, start)

    def _table(self, records: list[_Record], start: int) -> Rows:
        """JSON's, CSV's or text's rows as columns."""
        faults = [(start + number, record.fault) for number, record in enumerate(records) if record.fault is not None]
        good = [record.values for record in records if record.fault is None]
        columns = [
            pa.array([_stored(values.get(name), kind) for values in good], kind)
            for name, kind in zip(self._schema.names, self._schema.types, strict=True)
        ]
        return Rows(pa.Table.from_arrays(columns, schema=self._schema), tuple(faults))


@dataclass(frozen=True)
class _Record:
    """A row of a file of lines: where it begins, and its values or what is wrong with it."""

    offset: int
    values: dict[str, Any] = field(default_factory=dict)
    fault: str | None = None


def _records(file: BinaryIO, kind: str, column: str, header: tuple[list[str], int] | None = None) -> Iterator[_Record]:
    if kind == "csv":
        names, begin = header or _header(Path(file.name))
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


def _text(offset: int, line: bytes, column: str) -> _Record:
    try:
        encoding = "utf-8-sig" if offset == 0 else "utf-8"
        return _Record(offset, {column: line.removesuffix(b"\n").removesuffix(b"\r").decode(encoding)})
    except UnicodeDecodeError:
        return _Record(offset, fault="it is not UTF-8")


def _json(offset: int, line: bytes, column: str) -> _Record:
    try:
        values = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except UnicodeDecodeError:
        return _Record(offset, fault="it is not UTF-8")
    except (ValueError, RecursionError):
        return _Record(offset, fault="it is not JSON")
    fault = _fault_of(values, column)
    if fault is None and b"\\u" in line and not _is_utf8(json.dumps(values, ensure_ascii=False)):
        fault = "it has half a character (a lone surrogate)"
    return _Record(offset, fault=fault) if fault is not None else _Record(offset, values)


def _fault_of(values: Any, column: str) -> str | None:
    if not isinstance(values, dict):
        return "it is not an object of JSON"
    if values.get(column) is None:
        return f"it has no {column!r}"
    return None if isinstance(values[column], str) else f"its {column!r} is no text"


def _csv(file: BinaryIO, names: list[str], column: str) -> Iterator[_Record]:
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
            yield _Record(offset, fault="its quotes do not fit together")
            continue
        if fields is None:
            return
        if not fields:
            continue
        values = dict(zip(names, fields, strict=False))
        if len(fields) != len(names):
            yield _Record(offset, fault=f"it has {len(fields)} fields, and the header {len(names)}")
        elif not _is_utf8("".join(fields)):
            yield _Record(offset, fault="it is not UTF-8")
        elif column in values:
            yield _Record(offset, values)
        else:
            yield _Record(offset, fault=f"it has no {column!r}")


def _header(path: Path) -> tuple[list[str], int]:
    """The names of a CSV file's columns, and the byte after them."""
    with path.open("rb") as file:
        lines = iter(file.readline, b"")
        names = next(csv.reader(line.decode("utf-8-sig", "surrogateescape") for line in lines), [])
        return names, file.tell()


def _of(file: InputFile) -> tuple[list[str], int] | None:
    return _header(file.path) if file.kind == "csv" else None


def _batches(path: Path, start: int, count: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file from ``start`` on, some at a time; what lies before in whole groups is not read."""
    with pq.ParquetFile(path, buffer_size=_BYTES_AT_ONCE, pre_buffer=False) as opened:
        before, groups = 0, list(range(opened.metadata.num_row_groups))
        while groups and before + opened.metadata.row_group(groups[0]).num_rows <= start:
            before += opened.metadata.row_group(groups.pop(0)).num_rows
        for group in groups:  # One after another: of several, PyArrow keeps all that it has read.
            for batch in opened.iter_batches(batch_size=max(1, min(count, 16_384)), row_groups=[group]):
                if before + len(batch) > start:
                    yield batch.slice(max(0, start - before))
                before += len(batch)


def _put_back(batch: pa.RecordBatch, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield batch
    yield from batches


def _good(table: pa.Table, column: str, start: int) -> Rows:
    """The rows of a table whose text is one."""
    texts = table.column(column)
    faults = [
        (start + number, "its text is null") for number, valid in enumerate(texts.is_valid()) if not valid.as_py()
    ]
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:  # Parquet's strings need not be UTF-8, though they should.
        for number, value in enumerate(texts):
            try:
                value.as_py()
            except UnicodeDecodeError:
                faults.append((start + number, "its text is not UTF-8"))
    if faults:
        gone = {number - start for number, _ in faults}
        table = table.take([number for number in range(len(table)) if number not in gone])
    return Rows(table, tuple(sorted(faults)))


def _checked(path: Path, schema: pa.Schema, column: str) -> pa.Schema:
    """A file's schema, with its texts as plain strings."""
    if len(set(schema.names)) < len(schema.names):
        raise BatchError(f"{path}: two columns have the same name.")
    if column not in schema.names:
        has = ", ".join(map(repr, schema.names)) or "none"
        raise BatchError(f"{path} has no column {column!r}; its columns are {has}. Name one with --text-column.")
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise BatchError(f"{path}: the column {column!r} is of type {kind}, and must be of texts.")
    return schema.set(schema.names.index(column), pa.field(column, pa.large_string())).remove_metadata()


def _check_alike(schemas: Sequence[pa.Schema], files: Sequence[InputFile]) -> None:
    first = schemas[0]
    for schema in schemas[1:]:
        plain = {name: str(kind).removeprefix("large_") for name, kind in zip(schema.names, schema.types, strict=True)}
        wanted = {name: str(kind).removeprefix("large_") for name, kind in zip(first.names, first.types, strict=True)}
        if plain != wanted:
            names = ", ".join(sorted(repr(name) for name in plain.keys() ^ wanted.keys())) or ", ".join(
                f"{name!r} ({kind} and {wanted[name]})" for name, kind in plain.items() if kind != wanted[name]
            )
            raise BatchError(
                f"the {len(files)} input files do not have the same columns; they differ in {names}. Make a job of "
                f"each kind, with an output folder of its own."
            )


def _names(paths: Sequence[Path]) -> Iterable[str]:
    """A name for each file that no other has, without folders and endings where they are not needed."""
    taken: dict[str, int] = {}
    for path in paths:
        plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in path.stem)[:100]
        taken[plain] = taken.get(plain, 0) + 1
        yield plain if taken[plain] == 1 else f"{plain}.{taken[plain]}"


def _sha256(path: Path, told: Callable[[int], object]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BYTES_AT_ONCE):
            digest.update(block)
            told(len(block))
    return digest.hexdigest()


def _see(seen: dict[str, set[str]], values: dict[str, Any]) -> None:
    """Note of what kinds the values of a JSON object are."""
    for key, value in values.items():
        kinds = seen.setdefault(key, set())
        if value is not None:
            kind = type(value).__name__
            kinds.add("other" if kind == "int" and not -(2**63) <= value < 2**63 else kind)


def _stored(value: Any, kind: pa.DataType) -> Any:
    """A value of JSON as its column holds it: in a column of strings, whatever is no string as JSON."""
    if value is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
