"""Where rows come from: Parquet, JSON lines, CSV and lines of text; surveyed once, and then read part by part.

PyArrow is imported here, in ``stages.py`` and nowhere else in this package.
"""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.batch.records import Record, column_type, header_of, records, see
from pellucid.errors import BatchError, MissingExtraError

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingExtraError("pyarrow", "batch") from error

KINDS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".txt": "text"}
_BYTES_AT_ONCE = 1 << 20
_LONGEST_NAME = 100
"""Bytes of a name that an output file begins with: file systems take 255 in all."""


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


def find(inputs: Sequence[str], output: Path) -> list[Path]:
    """The files that are meant: files, folders with everything below them, and patterns; each once, in order.

    In folders, what is hidden or begins with ``_`` is no data, as Spark and Arrow have it; nor is what lies in
    ``output``, which an earlier run of the same job may have filled.

    Raises:
        BatchError: nothing is there, a folder cannot be read, or a file is of no kind that can be.
    """
    found: dict[Path, Path] = {}
    own = output.resolve()
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            below = [
                file for file in _below(path) if file.suffix.lower() in KINDS and own not in file.resolve().parents
            ]
        elif path.is_file():
            below = [path]
        else:
            below = [Path(name) for name in glob.glob(given, recursive=True) if Path(name).is_file()]  # noqa: PTH207
            below = [file for file in below if own not in file.resolve().parents]
        if not below:
            raise BatchError(f"{given}: there is no file of that name, and none in a folder or of a pattern of it.")
        found = {file.resolve(): file for file in below} | found
    for path in found.values():
        if path.suffix.lower() not in KINDS:
            raise BatchError(f"{path} cannot be read: the name must end in {', '.join(KINDS)}.")
    return sorted(found.values())


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise BatchError(f"{error.filename} cannot be read ({error.strerror}).") from error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (Path(where, name) for name in names if not name.startswith((".", "_")))


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
                    for row in records(file, kind, column):
                        if rows % rows_per_part == 0:
                            offsets.append(row.offset)
                        rows += 1
                        if kind == "jsonl" and row.fault is None:
                            see(seen, row.values)
                if kind != "jsonl":
                    names = header_of(path)[0] if kind == "csv" else [column]
                    schemas.append(_checked(path, pa.schema([(name, pa.string()) for name in names]), column))
        except (OSError, pa.ArrowException, csv.Error) as error:
            raise BatchError(f"{path} cannot be read ({error}).") from error
        files.append(InputFile(path, name, kind, sha256, rows, tuple(offsets)))
    if any(file.kind == "jsonl" for file in files):
        where = next(file.path for file in files if file.kind == "jsonl")
        if seen and column not in seen:
            raise BatchError(f"{where}: no row has a {column!r}. There are {', '.join(map(repr, sorted(seen)))}.")
        types = {key: column_type(kinds) for key, kinds in {column: {"str"}, **seen}.items()}
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
                found = list(islice(records(opened, file.kind, self._column, header=_of(file)), stop - start))
        except (OSError, pa.ArrowException) as error:
            raise BatchError(f"{file.path} cannot be read ({error}).") from error
        if len(found) < stop - start:
            raise BatchError(f"{file.path} has fewer rows than when the job began: it was changed.")
        return self._table(found, start)

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
        # Files may have the same columns in another order.
        table = pa.Table.from_batches(parts).select(self._schema.names).cast(self._schema)
        return _good(table, self._column, start)

    def _table(self, found: list[Record], start: int) -> Rows:
        """JSON's, CSV's or text's rows as columns."""
        faults = [(start + number, record.fault) for number, record in enumerate(found) if record.fault is not None]
        good = [record.values for record in found if record.fault is None]
        columns = [
            pa.array([_stored(values.get(name), kind) for values in good], kind)
            for name, kind in zip(self._schema.names, self._schema.types, strict=True)
        ]
        return Rows(pa.Table.from_arrays(columns, schema=self._schema), tuple(faults))


def _of(file: InputFile) -> tuple[list[str], int] | None:
    return header_of(file.path) if file.kind == "csv" else None


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
        keep = np.ones(len(table), dtype=bool)
        keep[[number - start for number, _ in faults]] = False
        table = kept(table, keep)
    return Rows(table, tuple(sorted(faults)))


def kept(table: pa.Table, keep: npt.NDArray[np.bool_]) -> pa.Table:
    """Some rows of a table, ``keep`` being ``bool[rows]``; in slices, because PyArrow does not filter all types."""
    edges = np.flatnonzero(np.diff(keep.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    return pa.concat_tables([table.slice(start, stop - start) for start, stop in edges.tolist()] or [table.slice(0, 0)])


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
    schema = schema.set(schema.names.index(column), pa.field(column, pa.large_string())).remove_metadata()
    return pa.schema([field.with_nullable(True) for field in schema])  # Another file may have nulls there.


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
    counts: Counter[str] = Counter()
    taken: set[str] = set()
    for path in paths:
        letters = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in path.stem)
        plain = letters.encode()[:_LONGEST_NAME].decode(errors="ignore")
        name = ""
        while not name or name.casefold() in taken:  # Of files called a, a and a.2, the second cannot be a.2.
            counts[plain] += 1
            name = plain if counts[plain] == 1 else f"{plain}.{counts[plain]}"
        taken.add(name.casefold())
        yield name


def _sha256(path: Path, told: Callable[[int], object]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BYTES_AT_ONCE):
            digest.update(block)
            told(len(block))
    return digest.hexdigest()


def _stored(value: Any, kind: pa.DataType) -> Any:
    """A value of JSON as its column holds it: in a column of strings, whatever is no string as JSON."""
    if value is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
