"""Where rows come from: Parquet, JSON lines, CSV and lines of text; surveyed once, and then read part by part.

PyArrow is imported here, in ``parquet.py``, in ``stages.py`` and nowhere else in this package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.batch.files import KINDS, InputFile, check_encoding, names_of, sha256_of, stamp_of
from pellucid.errors import BatchError, MissingExtraError, printable
from pellucid.tables.records import (
    LONGEST_ROW,
    TOO_LONG,
    Record,
    check_columns,
    column_type,
    header_of,
    records,
    see,
)

try:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]
except ImportError as error:
    raise MissingExtraError("pyarrow", "batch") from error

from pellucid.tables import parquet

_NAMES_SHOWN, _LONGEST_SHOWN = 20, 80


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
    schemas: list[pa.Schema] = []
    seen: dict[str, set[str]] = {}
    for path, name in zip(paths, names_of(paths), strict=True):
        kind = KINDS[path.suffix.lower()]
        stamp = stamp_of(path)
        try:
            sha256 = sha256_of(path, told)
            rows = 0
            offsets: list[int] = []
            if kind == "parquet":
                with pq.ParquetFile(path) as opened:
                    rows = opened.metadata.num_rows
                    schemas.append(_checked(path, opened.schema_arrow, column))
            else:
                check_encoding(path)
                if kind != "jsonl":
                    names = header_of(path)[0] if kind == "csv" else [column]
                    schemas.append(_checked(path, pa.schema([(name, pa.string()) for name in names]), column))
                with path.open("rb") as file:
                    for row in _counted(records(file, kind, column), path, rows_per_part, offsets):
                        rows += 1
                        if kind == "jsonl" and row.fault is None:
                            see(seen, row.values)
                            check_columns(seen, path)
        except (OSError, pa.ArrowException, UnicodeError) as error:
            raise BatchError(f"{printable(path)} cannot be read ({printable(str(error))}).") from error
        files.append(InputFile(path, name, kind, stamp, sha256, rows, tuple(offsets)))
        files[-1].check_unchanged()
    if any(file.kind == "jsonl" for file in files):
        types = {key: column_type(kinds) for key, kinds in {column: {"str"}, **seen}.items()}
        types[column] = "string"
        schemas.append(pa.schema([(key, pa.type_for_alias(kind)) for key, kind in types.items()]))
    _check_alike(schemas, files)
    return Survey(tuple(files), schemas[0])


def _counted(rows: Iterable[Record], path: Path, rows_per_part: int, offsets: list[int]) -> Iterator[Record]:
    """The rows, noting in ``offsets`` where each part begins; refuses a part that would take too much memory."""
    begin = 0  # From which byte on a part's rows would be held, if those that are rejected lay before it.
    rejected_at = None
    for number, row in enumerate(rows):
        offset = row.offset
        if number % rows_per_part == 0:
            offsets.append(offset)
            begin = offset
        elif rejected_at is not None:
            begin += offset - rejected_at
        rejected_at = None if row.fault is None else offset
        if offset - begin > parquet.MOST_BYTES:
            parquet.check_size(offset - begin, path, rows_per_part)
        yield row


class PartReader:
    """Reads parts. Going on where the last part ended costs nothing; any other part is looked up.

    Args:
        schema: of the survey.
        column: where the texts are.
    """

    def __init__(self, schema: pa.Schema, column: str) -> None:
        self._schema = schema
        self._column = column
        self._opened: tuple[InputFile, int, Iterator[pa.RecordBatch]] | None = None
        self._expanding: set[Path] = set()

    def read(self, file: InputFile, start: int, stop: int, rows_per_part: int) -> Rows:
        """The rows from ``start`` to ``stop``; ``start`` is where a part of ``rows_per_part`` rows begins.

        Raises:
            BatchError: the file cannot be read, or has changed since it was surveyed.
        """
        try:
            if file.kind == "parquet":
                rows = self._parquet(file, start, stop)
            else:
                header = header_of(file.path) if file.kind == "csv" else None
                with file.path.open("rb") as opened:
                    if start:
                        opened.seek(file.offsets[start // rows_per_part])
                    found = records(opened, file.kind, self._column, header=header)
                    rows = self._table(islice(found, stop - start), start)
        except (OSError, pa.ArrowException, ValueError, OverflowError, KeyError) as error:
            file.check_unchanged()
            raise BatchError(f"{printable(file.path)} cannot be read ({printable(str(error))}).") from error
        file.check_unchanged()
        if len(rows.table) + len(rows.faults) < stop - start:
            raise BatchError(f"{printable(file.path)} has fewer rows than it says.")
        return rows

    def _parquet(self, file: InputFile, start: int, stop: int) -> Rows:
        if file.path in self._expanding:
            parquet.check_size(parquet.MOST_BYTES + 1, file.path, stop - start)
        if self._opened is None or self._opened[:2] != (file, start):
            self._opened = (file, start, parquet.batches(file.path, start))
        _, _, batches = self._opened
        parts: list[pa.RecordBatch] = []
        needed, held = stop - start, 0
        for batch in batches:
            if len(batch) > needed:
                batches = chain([batch.slice(needed)], batches)
                batch = batch.slice(0, needed)  # noqa: PLW2901
            held += parquet.bytes_of(batch, self._schema)
            if held > parquet.MOST_BYTES:  # To look up its next part would be to expand this one.
                self._expanding.add(file.path)
                parquet.check_size(held, file.path, stop - start)
            parts.append(batch)
            needed -= len(batch)
            if not needed:
                break
        self._opened = (file, stop, batches)
        # Files may have the same columns in another order.
        tables = [pa.Table.from_batches([part]).select(self._schema.names).cast(self._schema) for part in parts]
        whole = pa.concat_tables(tables or [self._schema.empty_table()]).combine_chunks()
        return _good(whole, self._column, start)

    def _table(self, found: Iterable[Record], start: int) -> Rows:
        """JSON's, CSV's or text's rows as columns."""
        kinds = dict(zip(self._schema.names, self._schema.types, strict=True))
        columns: dict[str, list[Any]] = {name: [] for name in kinds}
        faults: list[tuple[int, str]] = []
        for number, record in enumerate(found, start):
            if record.fault is not None:
                faults.append((number, record.fault))
                continue
            for name, kind in kinds.items():
                columns[name].append(_stored(record.values.get(name), kind))
        arrays = [pa.array(columns[name], kind) for name, kind in kinds.items()]
        return Rows(pa.Table.from_arrays(arrays, schema=self._schema), tuple(faults))


def _good(table: pa.Table, column: str, start: int) -> Rows:
    """The rows of a table whose text is one."""
    texts = table.column(column)
    faults = [
        (start + number, "its text is null") for number, valid in enumerate(texts.is_valid()) if not valid.as_py()
    ]
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > LONGEST_ROW:
        long = pc.fill_null(pc.greater(pc.binary_length(texts), LONGEST_ROW), False)
        faults += [(start + number, f"its text: {TOO_LONG}") for number in np.flatnonzero(long.to_numpy()).tolist()]
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
        raise BatchError(f"{printable(path)}: two columns have the same name.")
    check_columns(schema.names, path)
    if column not in schema.names:
        has = ", ".join(f"{name[:_LONGEST_SHOWN]!r}" for name in schema.names[:_NAMES_SHOWN]) or "none"
        more = " and others" if len(schema.names) > _NAMES_SHOWN else ""
        raise BatchError(
            f"{printable(path)} has no column {column!r}; its columns are {has}{more}. Name one with --text-column."
        )
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise BatchError(f"{printable(path)}: the column {column!r} is of type {kind}, and must be of texts.")
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


def _stored(value: Any, kind: pa.DataType) -> Any:
    """A value of JSON as its column holds it: in a column of strings, whatever is no string as JSON."""
    if value is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
