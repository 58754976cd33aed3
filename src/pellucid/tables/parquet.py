"""Reading Parquet in bounded memory, whatever the file claims.

A small file can expand to any size: a dictionary has a value once that a million rows point to. So rows are read a few
at a time, the fewer the larger a value may be, and a part that grows beyond its bound is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pellucid.batch.files import BYTES_AT_ONCE
from pellucid.errors import BatchError, printable

MOST_BYTES = 512 << 20
"""Of a part's rows in memory."""
_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 256 << 20
_DICTIONARY_PAGE = 2


def batches(path: Path, start: int) -> Iterator[pa.RecordBatch]:
    """The rows of a file from ``start`` on, some at a time; what lies before in whole groups is not read.

    Raises:
        OSError, pa.ArrowException: it cannot be read.
    """
    with pq.ParquetFile(path) as opened, path.open("rb") as file:
        groups = [opened.metadata.row_group(number) for number in range(opened.metadata.num_row_groups)]
        before = 0
        for number, group in enumerate(groups):  # One after another: of several, PyArrow keeps all that it has read.
            if before + group.num_rows > start:
                for batch in _group_batches(path, opened.metadata, number, *_rows_at_once(group, file)):
                    if before + len(batch) > start:
                        yield batch.slice(max(0, start - before))
                    before += len(batch)
            else:
                before += group.num_rows


def _group_batches(
    path: Path, metadata: pq.FileMetaData, number: int, rows: int, dictionaries: list[str]
) -> Iterator[pa.RecordBatch]:
    options: dict[str, Any] = {"read_dictionary": dictionaries, "buffer_size": BYTES_AT_ONCE, "pre_buffer": False}
    # The metadata is passed on because that of many groups takes long to read.
    with pq.ParquetFile(path, metadata=metadata, **options) as opened:
        yield from opened.iter_batches(batch_size=rows, row_groups=[number])


def _rows_at_once(group: Any, file: BinaryIO) -> tuple[int, list[str]]:
    """How many rows of a group to read at once, and which columns to read as dictionaries, because a single row of
    them, which may have any number of values, may be too large.
    """
    rows, dictionaries = _ROWS_AT_ONCE, []
    for column in map(group.column, range(group.num_columns)):
        if column.physical_type not in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
            continue
        is_delta = any(encoding.startswith("DELTA") for encoding in column.encodings)
        size = column.total_uncompressed_size if is_delta else _dictionary_size(column, file)
        is_nested = "." in column.path_in_schema and column.physical_type == "BYTE_ARRAY" and not is_delta
        if is_nested and column.num_values * size > _BYTES_AT_ONCE:
            dictionaries.append(column.path_in_schema)
        else:
            rows = min(rows, max(1, _BYTES_AT_ONCE // max(1, size)))
    return rows, dictionaries


def _dictionary_size(column: Any, file: BinaryIO) -> int:
    """How large a column's dictionary is in memory, in bytes: no value that rows share is larger. 0 if it has none."""
    file.seek(min(column.dictionary_page_offset or column.data_page_offset, column.data_page_offset))
    kind, size = _page_header(file.read(16))
    return size if kind == _DICTIONARY_PAGE else 0


def _page_header(header: bytes) -> tuple[int, int]:
    """The kind of a page and its size in memory; 0 and 0 if it has no such header.

    It is in Thrift's compact protocol: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
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


def check_size(held: int, path: Path, rows: int) -> None:
    """Refuse a part of ``rows`` rows of which those that were read take ``held`` bytes.

    Raises:
        BatchError: that is too much.
    """
    if held > MOST_BYTES:
        raise BatchError(
            f"{printable(path)}: {rows:,} rows take more than {MOST_BYTES >> 20} MiB of memory. Begin the job in "
            f"another folder, with fewer rows a file: --rows-per-file."
        )


def bytes_of(batch: pa.RecordBatch, schema: pa.Schema) -> int:
    """What rows take in memory once they are of ``schema``, where a column may have values instead of a dictionary."""
    return sum(_bytes_of(batch.column(name), schema.field(name).type) for name in schema.names)


def _bytes_of(column: pa.Array, becomes: pa.DataType) -> int:
    kind = column.type
    if pa.types.is_dictionary(kind):
        if pa.types.is_dictionary(becomes):
            return int(column.indices.nbytes)
        lengths = pc.binary_length(column.dictionary.cast(pa.large_binary()))
        return int(pc.sum(lengths.take(column.indices)).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(_bytes_of(each, field.type) for each, field in zip(column.flatten(), becomes, strict=True))
    if pa.types.is_map(kind):
        return _bytes_of(column.keys, becomes.key_type) + _bytes_of(column.items, becomes.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _bytes_of(column.flatten(), becomes.value_type)
    return int(column.nbytes)
