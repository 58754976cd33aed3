"""What differs between an index of dense vectors, one of sparse vectors, and one of a vector for each token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

from pellucid.embedder import Embedder
from pellucid.encoder.fingerprint import Option
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.search.lance import Found
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.tables import arrow
from pellucid.tables.vector_columns import ColumnType
from pellucid.types import Float64

AnyEmbedder: TypeAlias = Embedder | SparseEmbedder | MultiVectorEmbedder
Measure = Literal["cosine", "dot", "maxsim"]
"""How near a chunk is to a query: the cosine, the dot product of sparse vectors, or MaxSim."""


class Question(Protocol):
    """A query with its vector or vectors."""

    def scores(self, vectors: arrow.Column) -> Float64:
        """How near chunks are, by the measure of their kind: ``float64[n]``."""

    def nearest(self, table: Any, count: int, *, approximate: bool) -> Found:
        """The nearest chunks of a table of LanceDB's, best first, without those that have nothing to do with it.

        Args:
            table: the table.
            count: how many.
            approximate: search only the half of the vectors that is likely to be near, if the kind is searchable so.
        """


class VectorKind(Protocol):
    """A model, and what an index does with its vectors.

    An index has one column of vectors. In memory, too, they are columns of Arrow's, so nothing else has to know what is
    in them.

    Attributes:
        task: the task's name in the fingerprint of an index.
        name: what the kind is called, as in ``--task``.
        measure: what the scores of its questions are.
        searches_approximately: whether a search can leave out vectors that are likely to be far away.
    """

    task: ClassVar[str]
    name: ClassVar[str]
    measure: ClassVar[Measure]
    searches_approximately: ClassVar[bool]

    @property
    def embedder(self) -> AnyEmbedder:
        """The model."""

    @classmethod
    def load(cls, model: str, options: Mapping[str, Option], **how: Any) -> Self:
        """Load a model.

        Args:
            model: its name or its folder.
            options: the options of an index's fingerprint; empty for the model's own.
            how: the options that the models of all kinds have.
        """

    @staticmethod
    def column_type(dimensions: int) -> ColumnType:
        """The type of the column of vectors."""

    @property
    def options(self) -> Mapping[str, Option]:
        """What vectors depend on besides the model, its arithmetic and the prompt. It is part of the fingerprint."""

    def embed(self, texts: Sequence[str], prompt: str) -> arrow.Column:
        """The vectors of chunks, with this prompt before each of them."""

    def question(self, query: str) -> Question:
        """A query with its vectors."""
