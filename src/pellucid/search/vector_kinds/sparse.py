"""An index of sparse vectors, compared by the dot product.

LanceDB cannot search sparse vectors. So a search reads all of them and keeps the best; that is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.encoder.fingerprint import Option
from pellucid.search.lance import Found, best_by_scan
from pellucid.search.vector_kinds.base import Measure
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.sparse_vectors import SparseVectors
from pellucid.tables import arrow
from pellucid.tables.vector_columns import SPARSE, ColumnType, sparse_column, sparse_in
from pellucid.types import Float64

_ROWS_AT_A_TIME = 4096
"""Chunks of 200 terms take 7 MB."""


@dataclass(frozen=True, eq=False)
class SparseQuestion:
    """A query with its sparse vector."""

    vector: SparseVectors

    def scores(self, vectors: arrow.Column) -> Float64:
        """The dot product of each vector."""
        return sparse_in(vectors, self.vector.dimensions).dot(self.vector)[:, 0].astype(np.float64)

    def nearest(self, table: Any, count: int, *, approximate: bool) -> Found:  # noqa: ARG002
        """The chunks with the largest dot products, if these are above 0: others share no term with the query."""
        return best_by_scan(table, count, self.scores, above=0.0, rows_at_a_time=_ROWS_AT_A_TIME)


@dataclass(frozen=True)
class Sparse:
    """A model that gives each text a sparse vector."""

    embedder: SparseEmbedder
    task: ClassVar[str] = SparseEmbedder.task_name
    name: ClassVar[str] = "sparse"
    measure: ClassVar[Measure] = "dot"
    searches_approximately: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str, options: Mapping[str, Option], **how: Any) -> Sparse:
        """Load a model, with the ``max_active_dims`` of an index if it has one."""
        dims: Any = options.get("max_active_dims")
        return cls(SparseEmbedder(model, max_active_dims=dims, **how))

    @staticmethod
    def column_type(dimensions: int) -> ColumnType:  # noqa: ARG004
        """The dimensions that are not zero, and the numbers there."""
        return SPARSE

    @property
    def options(self) -> Mapping[str, Option]:
        """How many numbers a vector may have."""
        return {"max_active_dims": self.embedder.max_active_dims}

    def embed(self, texts: Sequence[str], prompt: str) -> arrow.Column:
        """The vectors of chunks."""
        return sparse_column(self.embedder.embed_documents(texts, prompt=prompt))

    def question(self, query: str) -> SparseQuestion:
        """A query with its vector."""
        return SparseQuestion(self.embedder.embed_query(query))
