"""An index of dense vectors, compared by the cosine. LanceDB finds the nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.embedder import Embedder
from pellucid.encoder.fingerprint import EMBEDDING, Option
from pellucid.search.lance import Found, nearest_by_cosine
from pellucid.search.vector_kinds.base import Measure
from pellucid.tables import arrow
from pellucid.tables.vector_columns import ColumnType, dense_column, dense_in, dense_type
from pellucid.types import Float32, Float64


@dataclass(frozen=True, eq=False)
class DenseQuestion:
    """A query with its vector of unit length, ``float32[d]``."""

    vector: Float32

    def scores(self, vectors: arrow.Column) -> Float64:
        """The cosine of each vector."""
        return np.array([_cosine(vector, self.vector) for vector in dense_in(vectors)])

    def nearest(self, table: Any, count: int, *, approximate: bool) -> Found:
        """The chunks with the largest cosines."""
        return nearest_by_cosine(table, self.vector, count, approximate=approximate)


@dataclass(frozen=True)
class Dense:
    """A model that gives each text a vector."""

    embedder: Embedder
    task: ClassVar[str] = EMBEDDING
    name: ClassVar[str] = "dense"
    measure: ClassVar[Measure] = "cosine"
    searches_approximately: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str, options: Mapping[str, Option], **how: Any) -> Dense:  # noqa: ARG003
        """Load a model."""
        return cls(Embedder(model, **how))

    @staticmethod
    def column_type(dimensions: int) -> ColumnType:
        """A vector of so many numbers."""
        return dense_type(dimensions)

    @property
    def options(self) -> Mapping[str, Option]:
        """All vectors have unit length."""
        return {"normalize": self._normalize, "truncate_dim": None}

    def embed(self, texts: Sequence[str], prompt: str) -> arrow.Column:
        """The vectors of chunks."""
        return dense_column(self.embedder.embed_documents(texts, prompt=prompt, normalize=self._normalize))

    def question(self, query: str) -> DenseQuestion:
        """A query with its vector."""
        return DenseQuestion(self.embedder.embed_query(query, normalize=self._normalize))

    @property
    def _normalize(self) -> bool | None:
        """What gives unit length. A model that normalizes by itself keeps its own bits (None)."""
        return None if self.embedder.spec.unit_length else True


def _cosine(first: Float32, second: Float32) -> float:
    a, b = first.astype(np.float64), second.astype(np.float64)
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
