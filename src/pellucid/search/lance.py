"""What an index asks of LanceDB, which is imported here and nowhere else: functions on its tables of chunks."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pellucid.errors import MissingExtraError, PellucidError
from pellucid.search.rows import COLUMNS, VECTOR
from pellucid.tables import arrow
from pellucid.types import Float32, Float64

_VALUES_PER_FILTER = 500
_ROWS_PER_PARTITION = 4096
"""LanceDB divides the vectors into partitions of about this size. Reading a few of them takes a few milliseconds."""
_ALL_PROBES = 1 << 20
_MIN_PROBES = 64
"""With fewer partitions, half of them would lose more than 0.01 of nDCG@10 and save only a few milliseconds."""
_KEEP_FOR_READERS = timedelta(days=1)
"""How long an old version of the table stays on disk, for processes that have it open."""
_KEEP_FOR_EVER = timedelta(days=36500)
_PLACE = ("file", "part", "start")
"""The columns that say where a chunk is. No two chunks have the same values in all of them."""


class Found(NamedTuple):
    """Chunks that a search has found, best first: a table of their columns with their vectors, and their scores."""

    chunks: arrow.Table
    scores: list[float]


def connect(folder: Path) -> Any:
    """The database in a folder.

    Raises:
        MissingExtraError: LanceDB is not installed.
    """
    return _lancedb().connect(folder)


def is_raised_by_lancedb(error: BaseException) -> bool:
    """Whether LanceDB raised this. A panic in its Rust code is not an ``Exception``."""
    if isinstance(error, Exception):
        return not isinstance(error, PellucidError | MemoryError)
    return type(error).__name__ in ("PanicException", "RustPanic")


def columns_of(table: Any) -> list[str]:
    """The columns of a row that a table has: one that an older Pellucid made has no headings."""
    return [name for name in COLUMNS if name in table.schema.names]


def read(table: Any, columns: Sequence[str]) -> arrow.Table:
    """Some columns of all chunks."""
    return table.search().select(list(columns)).limit(None).to_arrow()


def read_where(table: Any, column: str, values: Sequence[str], columns: Sequence[str]) -> Iterator[arrow.Table]:
    """Some columns of the chunks that have one of the values in a column, in parts."""
    for condition in _conditions(column, values):
        yield table.search().where(condition).select(list(columns)).limit(None).to_arrow()


def delete_where(table: Any, column: str, values: Sequence[str]) -> None:
    """Delete the chunks that have one of the values in a column."""
    for condition in _conditions(column, values):
        table.delete(condition)


def update_indices(table: Any, *, by_cosine: bool) -> None:
    """Add new rows to the table's indices, and join small fragments of the table.

    Args:
        table: the table. It always has an index of words.
        by_cosine: True if it also has an index for :func:`nearest_by_cosine`, once it is large enough.
    """
    config, rows = _lancedb().index, table.count_rows()
    indexed = {column for index in table.list_indices() for column in index.columns}
    if rows and "text" not in indexed:
        table.create_index("text", config=config.FTS())
    if by_cosine and rows >= 4 * _ROWS_PER_PARTITION and VECTOR not in indexed:
        table.create_index(VECTOR, config=config.IvfFlat(distance_type="cosine"))
    table.optimize(cleanup_older_than=_KEEP_FOR_EVER)  # The valid version is an old one now, and must stay.


def remove_old_versions(table: Any) -> None:
    """Remove the versions that no reader can have open any more. Nobody else may be writing."""
    # So a killed process left whatever no version names.
    table.optimize(cleanup_older_than=_KEEP_FOR_READERS, delete_unverified=True)


def best_by_words(table: Any, words: str, count: int) -> Found:
    """The chunks that match words best, by BM25."""
    found = table.search(words, query_type="fts").limit(count).select([*columns_of(table), VECTOR, "_score"]).to_arrow()
    return Found(found, found["_score"].to_pylist())


def nearest_by_cosine(table: Any, vector: Float32, count: int, *, approximate: bool) -> Found:
    """The chunks whose vectors are nearest, by the cosine.

    Args:
        table: a table of dense vectors.
        vector: ``float32[d]``.
        count: how many.
        approximate: search only the half of the partitions that is nearest to the vector, but at least 64.
    """
    # Partitions hold whole vectors: searching all of them is exact, and faster than reading the table.
    half = max(_MIN_PROBES, table.count_rows() // _ROWS_PER_PARTITION // 2)
    search = table.search(vector).distance_type("cosine").nprobes(half if approximate else _ALL_PROBES)
    found = search.limit(count).select([*columns_of(table), VECTOR, "_distance"]).to_arrow()
    return Found(found, [1 - distance for distance in found["_distance"].to_pylist()])


def best_by_scan(
    table: Any, count: int, scores: Callable[[arrow.Column], Float64], *, above: float, rows_at_a_time: int
) -> Found:
    """The chunks with the best scores, found by reading the vectors of all chunks.

    Equal scores are in the order of the files' names, and within a file in that of its text.

    Args:
        table: the table.
        count: how many.
        scores: the score of each vector in a column.
        above: leave out chunks whose score is not above this.
        rows_at_a_time: how many chunks to read at a time. More than two such parts are never in memory.
    """
    best: list[tuple[Any, ...]] = []
    for part in _parts(table, [VECTOR, *_PLACE], rows_at_a_time):
        found = scores(part[VECTOR].combine_chunks())
        bar = -best[-1][0] if len(best) == count else -np.inf
        candidates = np.flatnonzero((found > above) & (found >= bar))
        if len(candidates) > count:
            worst = np.partition(found[candidates], -count)[-count]
            candidates = candidates[found[candidates] >= worst]
        if not len(candidates):
            continue
        keys = [part[name].take(candidates).to_pylist() for name in (*_PLACE, "_rowid")]
        best = heapq.nsmallest(count, [*best, *zip((-found[candidates]).tolist(), *keys, strict=True)])
    return Found(_rows_at(table, [row_id for *_, row_id in best]), [-negative for negative, *_ in best])


def _parts(table: Any, columns: Sequence[str], size: int) -> Iterator[arrow.Table]:
    """Some columns of all chunks and the ids of their rows, so many chunks at a time.

    ``to_batches`` would read many batches ahead, which takes several hundred MB where each chunk has many vectors.
    """
    for start in range(0, table.count_rows(), size):
        yield table.search().select(list(columns)).with_row_id(True).offset(start).limit(size).to_arrow()


def _rows_at(table: Any, row_ids: Sequence[int]) -> arrow.Table:
    """The rows with these ids, in this order, with their vectors."""
    columns = [*columns_of(table), VECTOR]
    if not row_ids:
        return table.schema.empty_table().select(columns)
    rows = table.take_row_ids(list(row_ids)).select(columns).with_row_id().to_arrow()
    places = {row_id: place for place, row_id in enumerate(rows["_rowid"].to_pylist())}
    return rows.take([places[row_id] for row_id in row_ids])


def _conditions(column: str, values: Sequence[str]) -> Iterator[str]:
    """SQL conditions: the column has one of the values."""
    for start in range(0, len(values), _VALUES_PER_FILTER):
        quoted = ("'" + value.replace("'", "''") + "'" for value in values[start:][:_VALUES_PER_FILTER])
        yield f"{column} IN ({', '.join(quoted)})"


def _lancedb() -> Any:
    try:
        import lancedb
        import lancedb.index
    except ImportError:
        raise MissingExtraError("lancedb", "search") from None
    return lancedb
