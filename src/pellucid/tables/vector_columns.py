"""Vectors as Arrow columns, a row for each text: dense, sparse, or any number of vectors.

The type of a column is what LanceDB takes for such vectors. It has no type for sparse vectors, so those are two lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from pellucid.sparse_vectors import SparseVectors
from pellucid.tables import arrow  # First: it says what to install.
from pellucid.types import Float32, Int32, MultiVectors

import pyarrow as pa  # type: ignore[import-untyped]  # isort: skip

ColumnType: TypeAlias = pa.DataType

SPARSE: ColumnType = pa.struct({"indices": pa.list_(pa.int32()), "values": pa.list_(pa.float32())})
"""The type of a column of sparse vectors: the dimensions that are not zero, and the numbers there."""


def dense_type(dimensions: int) -> ColumnType:
    """The type of a column with a vector in each row."""
    return pa.list_(pa.float32(), dimensions)


def multi_vector_type(dimensions: int) -> ColumnType:
    """The type of a column with any number of vectors in each row."""
    return pa.list_(dense_type(dimensions))


def dense_column(vectors: Float32) -> arrow.Column:
    """Vectors, ``float32[n, d]``, as a column."""
    return arrow.vector_column(vectors.astype(np.float32, copy=False))


def sparse_column(vectors: SparseVectors) -> arrow.Column:
    """Sparse vectors as a column."""
    lists = [arrow.list_column(numbers, vectors.offsets) for numbers in (vectors.indices, vectors.values)]
    return pa.StructArray.from_arrays(lists, fields=[SPARSE.field(number) for number in range(len(lists))])


def multi_vector_column(vectors: MultiVectors) -> arrow.Column:
    """The vectors of texts as a column."""
    return pa.ListArray.from_arrays(pa.array(vectors.offsets, pa.int32()), dense_column(vectors.vectors))


def dense_in(column: arrow.Column) -> Float32:
    """The vectors in a column, ``float32[n, d]``."""
    vectors: Float32 = column.flatten().to_numpy().reshape(-1, column.type.list_size)
    return vectors


def sparse_in(column: arrow.Column, dimensions: int) -> SparseVectors:
    """The sparse vectors in a column."""
    indices, values = column.field("indices"), column.field("values")
    return SparseVectors(indices.flatten().to_numpy(), values.flatten().to_numpy(), _offsets(indices), dimensions)


def multi_vectors_in(column: arrow.Column) -> MultiVectors:
    """The vectors of the texts in a column."""
    return MultiVectors(dense_in(column.flatten()), _offsets(column))


def rows_of(column: arrow.Column) -> list[arrow.Column]:
    """Each row of a column, as a column of its own that shares the memory."""
    return [column.slice(row, 1) for row in range(len(column))]


def join(columns: Sequence[arrow.Column]) -> arrow.Column:
    """At least one column, laid end to end."""
    return pa.concat_arrays(columns)


def column_in(table: arrow.Table, name: str, kind: ColumnType) -> arrow.Column:
    """A column of a table in one piece, as this type."""
    chunks: list[Any] = table[name].chunks
    return pa.concat_arrays([chunk.cast(kind) for chunk in chunks]) if chunks else pa.array([], kind)


def _offsets(lists: arrow.Column) -> Int32:
    offsets: Int32 = lists.offsets.to_numpy()  # Those of a slice do not begin at 0.
    from_zero: Int32 = offsets - offsets[0]
    return from_zero
