"""An index of a vector for each token, compared by MaxSim.

The column is what LanceDB calls a multivector, but a search does not use LanceDB's MaxSim. LanceDB 0.40 takes twice as
long, LanceDB 0.25 fails if a chunk has no vectors, and the two give different distances. So a search reads all vectors,
scores them with the model's engine, and keeps the best. That is exact, and a score has the same bits as
``MultiVectorEmbedder.maxsim``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.encoder.fingerprint import Option
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.search.lance import Found, best_by_scan
from pellucid.search.vector_kinds.base import Measure
from pellucid.tables import arrow
from pellucid.tables.vector_columns import ColumnType, multi_vector_column, multi_vector_type, multi_vectors_in
from pellucid.types import Float32, Float64, MultiVectors
from pellucid.vectors.maxsim import EMPTY_DOCUMENT

_ROWS_AT_A_TIME = 128
"""Chunks of 256 tokens with vectors of 128 numbers take 17 MB."""


@dataclass(frozen=True, eq=False)
class MultiVectorQuestion:
    """A query with its vectors, ``float32[t, d]``, and what compares them with those of chunks: the engine's MaxSim."""

    vectors: Float32
    maxsim: Callable[[Float32, MultiVectors], Float32]

    def scores(self, vectors: arrow.Column) -> Float64:
        """The MaxSim of each chunk. That of a chunk without vectors is -1e9."""
        return self.maxsim(self.vectors, multi_vectors_in(vectors)).astype(np.float64)

    def nearest(self, table: Any, count: int, *, approximate: bool) -> Found:  # noqa: ARG002
        """The chunks with the largest MaxSim, without those that have no vectors."""
        above = EMPTY_DOCUMENT if len(self.vectors) else np.inf  # A query without vectors is near nothing.
        return best_by_scan(table, count, self.scores, above=above, rows_at_a_time=_ROWS_AT_A_TIME)


@dataclass(frozen=True)
class MultiVector:
    """A model that gives each token of a text a vector."""

    embedder: MultiVectorEmbedder
    task: ClassVar[str] = MultiVectorEmbedder.task_name
    name: ClassVar[str] = "multi-vector"
    measure: ClassVar[Measure] = "maxsim"
    searches_approximately: ClassVar[bool] = False

    @classmethod
    def load(cls, model: str, options: Mapping[str, Option], **how: Any) -> MultiVector:  # noqa: ARG003
        """Load a model."""
        return cls(MultiVectorEmbedder(model, **how))

    @staticmethod
    def column_type(dimensions: int) -> ColumnType:
        """Any number of vectors of so many numbers."""
        return multi_vector_type(dimensions)

    @property
    def options(self) -> Mapping[str, Option]:
        """The vectors depend on nothing else."""
        return {}

    def embed(self, texts: Sequence[str], prompt: str) -> arrow.Column:
        """The vectors of chunks."""
        return multi_vector_column(self.embedder.embed_documents(texts, prompt=prompt))

    def question(self, query: str) -> MultiVectorQuestion:
        """A query with its vectors."""
        return MultiVectorQuestion(self.embedder.embed_query(query), self.embedder.engine.maxsim)
