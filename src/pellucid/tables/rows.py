"""Some of the rows of a file, exactly as they are written in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from pellucid.tables.records import read_header, read_records
from pellucid.types import Int64


def rows_as_written(file: Path, kind: str, column: str, rows: Int64) -> Iterator[bytes]:
    """The bytes of some rows, each with a line end; for CSV, the header first.

    Args:
        file: JSON lines, CSV or plain lines. Every row must have a text that can be used.
        kind: "jsonl", "csv" or "text".
        column: the name of the column of texts.
        rows: ``int64[k]``, the numbers of the rows, from 0, in order.

    Raises:
        OSError: the file cannot be read.
        UnreadableFileError: the header of a CSV file cannot be read.
    """
    with file.open("rb") as source:
        header = read_header(source) if kind == "csv" else None
        if header is not None:
            source.seek(0)
            yield _with_line_end(source.read(header[1]))
        starts = [record.offset for record in read_records(source, kind, column, header=header)]
        ends = list(pairwise([*starts, source.seek(0, 2)]))
        for start, end in np.array(ends, dtype=np.int64).reshape(-1, 2)[rows].tolist():
            source.seek(start)
            yield _with_line_end(source.read(end - start))


def _with_line_end(row: bytes) -> bytes:
    """The row with one line end: the one that it has, or else a line feed. Blank lines after it are left out."""
    end = b"\r\n" if row.endswith(b"\r\n") else b"\n"
    return row.rstrip(b"\r\n") + end
