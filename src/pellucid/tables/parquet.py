"""Parquet files, read in bounded memory whatever they claim, and written.

A small file can expand to any size: a dictionary stores a value once, and a million rows may point to it. So rows are
read a few at a time, and fewer where a single value may be large.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pellucid.errors import UnreadableFileError, printable
from pellucid.tables.arrow import ARROW_ERRORS, Schema, Table, keep_rows  # First: it says what to install.

import pyarrow as pa  # type: ignore[import-untyped]  # isort: skip
import pyarrow.compute as pc  # type: ignore[import-untyped]  # isort: skip
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # isort: skip

Source = Path | bytes
"""A file, or the bytes of one."""

_BUFFER_BYTES = 1 << 20
_ROWS_PER_BATCH = 256
_BYTES_PER_BATCH = 256 << 20
_BYTES_PER_OPENING = 16 << 20
_ROWS_PER_GROUP = 100_000
_BYTES_PER_GROUP = 128 << 20
"""A row group is written once it has this many rows, or once so many bytes wait."""
_DICTIONARY_PAGE = 2


def describe(source: Source) -> tuple[int, Schema]:
    """How many rows a file says it has, and its schema.

    Raises:
        OSError, pa.ArrowException: it cannot be read.
    """
    with _opened(source) as file:
        return file.metadata.num_rows, file.schema_arrow


def read_batches(
    source: Source, start: int = 0, columns: Sequence[str] | None = None, *, use_threads: bool = True
) -> Iterator[pa.RecordBatch]:
    """The rows of a file from ``start`` on, a few at a time. Row groups that end before ``start`` are not read.

    Args:
        source: the file.
        start: the first row, from 0.
        columns: read only these; None for all.
        use_threads: decode several columns at a time.

    Raises:
        OSError, pa.ArrowException: it cannot be read.
    """
    with _opened(source) as file, _bytes_of(source) as content:
        metadata = file.metadata
        before = 0
        for numbers in _group_row_groups(metadata):
            groups = [metadata.row_group(number) for number in numbers]
            rows_in_groups = sum(group.num_rows for group in groups)
            if before + rows_in_groups <= start:
                before += rows_in_groups
                continue
            found = [_rows_per_batch(group, content, columns) for group in groups]
            rows = min(rows for rows, _ in found)
            dictionaries = sorted({name for _, names in found for name in names})
            # Passing the metadata on saves time: that of many groups takes long to read.
            options = {"metadata": metadata, "read_dictionary": dictionaries, "buffer_size": _BUFFER_BYTES}
            with _opened(source, pre_buffer=False, **options) as part:
                # PyArrow cannot read on into a group with another dictionary, if the column is nested.
                one_by_one = any(map(_has_nested_dictionary, part.schema_arrow.types))
                for some in [[number] for number in numbers] if one_by_one else [numbers]:
                    for batch in part.iter_batches(rows, some, columns, use_threads=use_threads):
                        if before + len(batch) > start:
                            yield batch.slice(max(0, start - before))
                        before += len(batch)


def _group_row_groups(metadata: Any) -> Iterator[list[int]]:
    """The numbers of consecutive row groups to read from one opened file, which keeps what it has read of each.

    A large group is read alone. Opening the file for each of many small ones would take long.
    """
    numbers: list[int] = []
    size = 0
    for number in range(metadata.num_row_groups):
        group_bytes = metadata.row_group(number).total_byte_size
        if numbers and size + group_bytes > _BYTES_PER_OPENING:
            yield numbers
            numbers, size = [], 0
        numbers.append(number)
        size += group_bytes
    if numbers:
        yield numbers


def _has_nested_dictionary(kind: pa.DataType) -> bool:
    """Whether a column of this type has dictionaries below its first level."""
    children = [kind.field(number).type for number in range(kind.num_fields)]
    return any(pa.types.is_dictionary(child) or _has_nested_dictionary(child) for child in children)


def _opened(source: Source, **options: Any) -> pq.ParquetFile:
    return pq.ParquetFile(source if isinstance(source, Path) else pa.BufferReader(source), **options)


def _bytes_of(source: Source) -> contextlib.AbstractContextManager[BinaryIO]:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _rows_per_batch(group: Any, file: BinaryIO, columns: Sequence[str] | None) -> tuple[int, list[str]]:
    """How many rows of a row group to read at once, and which columns to read as dictionaries.

    A single row of a nested column may have any number of values. Where they could be too large together, the column
    stays a dictionary.
    """
    rows, dictionaries = _ROWS_PER_BATCH, []
    for column in map(group.column, range(group.num_columns)):
        path = column.path_in_schema
        if columns is not None and not any(path == name or path.startswith(f"{name}.") for name in columns):
            continue
        if column.physical_type not in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
            continue
        is_delta = any(encoding.startswith("DELTA") for encoding in column.encodings)
        size = column.total_uncompressed_size if is_delta else _dictionary_bytes(column, file)
        is_nested = "." in column.path_in_schema and column.physical_type == "BYTE_ARRAY" and not is_delta
        if is_nested and column.num_values * size > _BYTES_PER_BATCH:
            dictionaries.append(column.path_in_schema)
        else:
            rows = min(rows, max(1, _BYTES_PER_BATCH // max(1, size)))
    return rows, dictionaries


def _dictionary_bytes(column: Any, file: BinaryIO) -> int:
    """The size of a column's dictionary in memory; 0 if it has none. No value that rows share is larger."""
    file.seek(min(column.dictionary_page_offset or column.data_page_offset, column.data_page_offset))
    kind, size = _parse_page_header(file.read(16))
    return size if kind == _DICTIONARY_PAGE else 0


def _parse_page_header(header: bytes) -> tuple[int, int]:
    """The kind of a page and its size in memory, in bytes; 0 and 0 if ``header`` is not a page's header.

    The header is in Thrift's compact protocol:
    https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
    """
    numbers, place = [], 0
    for _ in range(2):
        if header[place : place + 1] != b"\x15":  # The next field, of type i32.
            return 0, 0
        number = shift = 0
        for byte in header[place + 1 : place + 6]:
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004
                break
        place += 1
        numbers.append(number >> 1)
    return numbers[0], numbers[1]


def bytes_in_memory(batch: pa.RecordBatch, schema: Schema) -> int:
    """How many bytes a batch takes once it is cast to ``schema``, which may have values instead of a dictionary."""
    return sum(_column_bytes(batch.column(name), schema.field(name).type) for name in schema.names)


def _column_bytes(column: pa.Array, target: pa.DataType) -> int:
    kind = column.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_dictionary(target):
            return int(column.indices.nbytes)
        lengths = pc.binary_length(column.dictionary.cast(pa.large_binary()))
        return int(pc.sum(lengths.take(column.indices)).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(_column_bytes(child, field.type) for child, field in zip(column.flatten(), target, strict=True))
    if pa.types.is_map(kind):
        return _column_bytes(column.keys, target.key_type) + _column_bytes(column.items, target.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _column_bytes(column.flatten(), target.value_type)
    return int(column.nbytes)


def write_with_vectors(path: Path, table: Table) -> None:
    """Write a table whose last column has vectors, which neither a dictionary nor a byte codec makes smaller.

    Raises:
        OSError: the file cannot be written.
    """
    others = _leaf_columns(table.schema)[:-1]
    pq.write_table(table, path, use_dictionary=others, compression=dict.fromkeys(others, "zstd"))


def write(path: Path, table: Table) -> None:
    """Write a table.

    Raises:
        OSError: the file cannot be written.
    """
    pq.write_table(table, path, compression="zstd")


def _leaf_columns(schema: Schema) -> list[str]:
    """The columns that Parquet stores for a schema: a nested column becomes one for each kind of value in it."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as written:
        return [written.schema.column(number).path for number in range(len(written.schema))]


def copy_rows(source: Path, path: Path, rows: npt.NDArray[np.int64]) -> None:
    """Copy some rows to another file, with all columns, each compressed as in the source.

    Args:
        source: the file to read.
        path: the file to write.
        rows: ``int64[k]``, the numbers of the rows, from 0, in order.

    Raises:
        UnreadableFileError: the source cannot be read.
        OSError, pa.ArrowException: the file cannot be written.
    """
    with _reading(source), _opened(source) as file:
        schema, storage = file.schema_arrow, _storage_options(file.metadata, file.schema_arrow)
    with pq.ParquetWriter(path, schema, **storage) as writer:
        for table in _row_groups(source, schema, rows):
            writer.write_table(table)


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Say of Arrow's errors which file they are about."""
    try:
        yield
    except ARROW_ERRORS as error:
        raise UnreadableFileError(f"{printable(source)} cannot be read ({printable(str(error))}).") from error


def _storage_options(metadata: Any, schema: Schema) -> dict[str, Any]:
    """What tells :class:`pq.ParquetWriter` to store columns as the first row group of a file stores them."""
    if not metadata.num_row_groups:
        return {}
    group = metadata.row_group(0)
    # By position: other writers name the levels of nested columns differently.
    columns = {name: group.column(number) for number, name in enumerate(_leaf_columns(schema))}
    codecs = {name: column.compression.replace("UNCOMPRESSED", "NONE") for name, column in columns.items()}
    return {"compression": codecs, "use_dictionary": [n for n, column in columns.items() if column.has_dictionary_page]}


def _row_groups(source: Path, schema: Schema, rows: npt.NDArray[np.int64]) -> Iterator[Table]:
    """Some rows of a file as tables, each large enough for a row group, and no larger than memory allows."""
    pieces: list[Table] = []
    start = count = held = 0
    with _reading(source):
        for batch in read_batches(source):
            first, stop = np.searchsorted(rows, [start, start + len(batch)])
            if first < stop:
                table = pa.Table.from_batches([batch]).cast(schema)
                keep = np.zeros(len(batch), dtype=bool)
                keep[rows[first:stop] - start] = True
                pieces.append(keep_rows(table, keep))
                count += stop - first
                held += table.nbytes  # A slice holds the whole.
            if count >= _ROWS_PER_GROUP or held >= _BYTES_PER_GROUP:
                yield pa.concat_tables(pieces).combine_chunks()
                pieces, count, held = [], 0, 0
            start += len(batch)
        if pieces:
            yield pa.concat_tables(pieces).combine_chunks()
