"""Jobs that give each text a sparse vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pellucid.batch.embedding import EmbeddingOptions
from pellucid.batch.options import Ranges
from pellucid.encoder.fingerprint import Option
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.sparse_vectors import SparseVectors
from pellucid.tables.arrow import Column, list_column
from pellucid.types import TokenBatch


@dataclass(frozen=True, repr=False)
class SparseOptions(EmbeddingOptions[SparseEmbedder]):
    """What a job does that gives texts sparse vectors.

    Attributes:
        text_column: the column of texts.
        indices_column: the column that gets the dimensions that are not zero, as lists of int32.
        values_column: the column that gets the numbers there, as lists of float32.
        prompt: put before each text.
        max_active_dims: as for :class:`~pellucid.sparse_embedder.SparseEmbedder`.
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file.
    """

    text_column: str = "text"
    indices_column: str = "indices"
    values_column: str = "values"
    prompt: str = ""
    max_active_dims: int | None = None
    on_truncation: str = "cut"
    rows_per_file: int = 16_384

    naming_options: ClassVar[tuple[str, ...]] = ("--indices-column", "--values-column")

    @property
    def added_columns(self) -> tuple[str, ...]:
        """The columns of places and of numbers."""
        return (self.indices_column, self.values_column)

    @property
    def call_options(self) -> Mapping[str, Any]:
        """How many numbers are kept, if the job says so."""
        return {"max_active_dims": self.max_active_dims}

    def fingerprint_options(self, model: SparseEmbedder) -> Mapping[str, Option]:
        """What changes vectors: how many numbers are kept, as the job or the model says."""
        return {"max_active_dims": model.max_active_dims if self.max_active_dims is None else self.max_active_dims}

    def width(self, model: SparseEmbedder) -> int:
        """How many dimensions a vector has, zeros included."""
        return model.dimensions

    def embed_tokens(
        self, model: SparseEmbedder, tokens: TokenBatch, advance: Callable[[int], object]
    ) -> SparseVectors:
        """The sparse vectors of texts."""
        return model.embed_tokens(tokens, max_active_dims=self.max_active_dims, advance=advance)

    def columns(
        self,
        model: SparseEmbedder,  # noqa: ARG002  As the base class has it.
        results: SparseVectors,
        ranges: Ranges | None,  # noqa: ARG002
    ) -> tuple[Column, ...]:
        """The places and the numbers."""
        return list_column(results.indices, results.offsets), list_column(results.values, results.offsets)

    def check(self, model: SparseEmbedder) -> None:
        """Refuse options that cannot be used."""
        super().check(model)
        model.finish(self.max_active_dims)  # Raises if it cannot be used.
