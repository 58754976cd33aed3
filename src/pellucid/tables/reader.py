"""Parts of tables, read as Arrow: the rows whose texts can be used, and what is wrong with the others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import BatchError, plural, printable
from pellucid.files import stamps
from pellucid.files.stamps import Stamp
from pellucid.tables import parquet
from pellucid.tables.arrow import ARROW_ERRORS, Schema, Table, keep_rows
from pellucid.tables.records import MAX_ROW_BYTES, Record, read_header, read_records, too_long

import pyarrow as pa  # type: ignore[import-untyped]  # isort: skip
import pyarrow.compute as pc  # type: ignore[import-untyped]  # isort: skip

MAX_PART_BYTES = 512 << 20
"""How much memory the rows of a part may take."""
_READ_ERRORS: tuple[type[Exception], ...] = (*ARROW_ERRORS, ValueError, OverflowError, KeyError)


@dataclass(frozen=True)
class InputFile:
    """A file of rows, as it was surveyed.

    Attributes:
        path: the file.
        name: the beginning of its output files' names; no other file of the job has it.
        kind: a value of :data:`~pellucid.tables.records.KINDS`.
        stamp: its size and when it was last changed.
        sha256: the digest of its bytes.
        rows: how many rows it has, good or bad.
        offsets: the byte where each part begins; empty for Parquet.
    """

    path: Path
    name: str
    kind: str
    stamp: Stamp
    sha256: str
    rows: int
    offsets: tuple[int, ...] = ()

    def check_unchanged(self) -> None:
        """Refuse a file that was changed since it was surveyed.

        Raises:
            BatchError: it was changed, or is gone.
        """
        if stamp_of(self.path) != self.stamp:
            raise BatchError(
                f"{printable(self.path)} was changed since the job began. The output so far is of the file as it was. "
                f"Put that file back and run the same command again, or start another job."
            )


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file as it is now.

    Raises:
        BatchError: the file cannot be read.
    """
    try:
        return stamps.stamp_of(path)
    except OSError as error:
        raise BatchError(f"{printable(path)} cannot be read ({error.strerror}).") from error


@dataclass(frozen=True)
class Rows:
    """The rows of a part.

    Attributes:
        table: the good rows, in order.
        faults: for each other row, its number in the file and what is wrong with it. No value is quoted.
    """

    table: Table
    faults: tuple[tuple[int, str], ...]


def check_part_size(size: int, path: Path, rows: int) -> None:
    """Refuse a part that takes too much memory.

    Args:
        size: the bytes of the rows that were read so far.
        path: the file.
        rows: how many rows the part has.

    Raises:
        BatchError: that is too much.
    """
    if size > MAX_PART_BYTES:
        raise BatchError(
            f"{printable(path)}: a part of {plural(rows, 'row')} takes more than {MAX_PART_BYTES >> 20} MiB of memory. "
            f"Start the job in another folder, with fewer rows in a part: --rows-per-file."
        )


class PartReader:
    """Reads parts of files. Reading parts in order is cheap; in Parquet, jumping costs a scan of the row group.

    Args:
        schema: the schema of all files, from the survey.
        column: the column of texts.
        more_columns: other columns that must have a text in each row.
    """

    def __init__(self, schema: Schema, column: str, more_columns: Iterable[str] = ()) -> None:
        self._schema = schema
        self._column = column
        self._more_columns = tuple(more_columns)
        self._opened: tuple[InputFile, int, Iterator[pa.RecordBatch]] | None = None
        self._too_large: set[Path] = set()

    def read(self, file: InputFile, start: int, stop: int, rows_per_part: int) -> Rows:
        """The rows ``start`` to ``stop`` of a file.

        Args:
            file: a file of the survey.
            start: the first row, where a part of ``rows_per_part`` rows begins.
            stop: the row after the last.
            rows_per_part: as in the survey.

        Raises:
            BatchError: the file cannot be read, or was changed since it was surveyed.
        """
        try:
            rows = (
                self._read_parquet(file, start, stop)
                if file.kind == "parquet"
                else self._read_lines(file, start, stop, rows_per_part)
            )
        except _READ_ERRORS as error:
            file.check_unchanged()
            raise BatchError(f"{printable(file.path)} cannot be read ({printable(str(error))}).") from error
        file.check_unchanged()
        if len(rows.table) + len(rows.faults) < stop - start:
            raise BatchError(
                f"{printable(file.path)} has fewer rows than its metadata declares; the file may be damaged. Replace "
                f"it, and run the same command again."
            )
        return rows

    def _read_lines(self, file: InputFile, start: int, stop: int, rows_per_part: int) -> Rows:
        with file.path.open("rb") as opened:
            header = read_header(opened) if file.kind == "csv" else None
            opened.seek(file.offsets[start // rows_per_part] if start else 0)
            records = read_records(opened, file.kind, self._column, header=header, more_columns=self._more_columns)
            return self._to_rows(islice(records, stop - start), start)

    def _to_rows(self, records: Iterable[Record], start: int) -> Rows:
        """Records as columns; ``start`` is the number of the first."""
        types = dict(zip(self._schema.names, self._schema.types, strict=True))
        columns: dict[str, list[Any]] = {name: [] for name in types}
        faults: list[tuple[int, str]] = []
        for number, record in enumerate(records, start):
            if record.fault is not None:
                faults.append((number, record.fault))
                continue
            for name, kind in types.items():
                columns[name].append(_to_type(record.values.get(name), kind))
        arrays = [pa.array(columns[name], kind) for name, kind in types.items()]
        return Rows(pa.Table.from_arrays(arrays, schema=self._schema), tuple(faults))

    def _read_parquet(self, file: InputFile, start: int, stop: int) -> Rows:
        if file.path in self._too_large:
            check_part_size(MAX_PART_BYTES + 1, file.path, stop - start)
        if self._opened is None or self._opened[:2] != (file, start):
            self._opened = (file, start, parquet.read_batches(file.path, start))
        _, _, batches = self._opened
        parts: list[pa.RecordBatch] = []
        missing, size = stop - start, 0
        for batch in batches:
            if len(batch) > missing:
                batches = chain([batch.slice(missing)], batches)
                batch = batch.slice(0, missing)  # noqa: PLW2901
            size += parquet.bytes_in_memory(batch, self._schema)
            if size > MAX_PART_BYTES:  # Finding the next part would read through this one.
                self._too_large.add(file.path)
                check_part_size(size, file.path, stop - start)
            parts.append(batch)
            missing -= len(batch)
            if not missing:
                break
        self._opened = (file, stop, batches)
        # Files may have the same columns in another order.
        tables = [pa.Table.from_batches([part]).select(self._schema.names).cast(self._schema) for part in parts]
        table = pa.concat_tables(tables or [self._schema.empty_table()]).combine_chunks()
        return _without_bad_texts(table, (self._column, *self._more_columns), start)


def _without_bad_texts(table: Table, columns: Sequence[str], start: int) -> Rows:
    """The rows whose texts can be used; ``start`` is the number of the first row."""
    faults: dict[int, str] = {}
    for column in columns:
        name = "text" if len(columns) == 1 else repr(column)
        for number, fault in _text_faults(table.column(column), name):
            faults.setdefault(start + number, fault)
    if faults:
        keep = np.ones(len(table), dtype=bool)
        keep[[number - start for number in faults]] = False
        table = keep_rows(table, keep)
    return Rows(table, tuple(sorted(faults.items())))


def _text_faults(texts: pa.ChunkedArray, name: str) -> Iterator[tuple[int, str]]:
    """The texts that cannot be used: the place of each, and what is wrong with it. ``name`` is what they are called."""
    for number, valid in enumerate(texts.is_valid()):
        if not valid.as_py():
            yield number, f"its {name} is null"
    if (pc.max(pc.binary_length(texts)).as_py() or 0) > MAX_ROW_BYTES:
        is_long = pc.fill_null(pc.greater(pc.binary_length(texts), MAX_ROW_BYTES), False)
        for number in np.flatnonzero(is_long.to_numpy()).tolist():
            yield number, f"its {name}: {too_long(MAX_ROW_BYTES)}"
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:  # Parquet's strings should be UTF-8, but need not be.
        for number, value in enumerate(texts):
            try:
                value.as_py()
            except UnicodeDecodeError:
                yield number, f"its {name} is not UTF-8"


def _to_type(value: Any, kind: pa.DataType) -> Any:
    """A JSON value as its column stores it: in a column of strings, anything but a string is written as JSON."""
    if value is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
