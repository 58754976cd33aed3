"""Jobs that give each text several vectors: one for each of its tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pellucid.batch.embedding import EmbeddingOptions
from pellucid.batch.options import Ranges
from pellucid.encoder.fingerprint import Option
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.tables.arrow import Column
from pellucid.tables.vector_columns import multi_vector_column
from pellucid.types import Int32, MultiVectors, TokenBatch


@dataclass(frozen=True, repr=False)
class MultiVectorOptions(EmbeddingOptions[MultiVectorEmbedder]):
    """What a job does that gives the tokens of texts vectors. The texts are documents.

    Attributes:
        text_column: the column of texts.
        vector_column: the column that gets their vectors, as lists of lists of a fixed size.
        prompt: put before each text.
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file. Their vectors are all in memory: those of 1,024
            texts of 200 tokens take 100 MB if a vector has 128 numbers.
    """

    text_column: str = "text"
    vector_column: str = "vectors"
    prompt: str = ""
    on_truncation: str = "cut"
    rows_per_file: int = 1_024

    naming_options: ClassVar[tuple[str, ...]] = ("--vector-column",)

    @property
    def added_columns(self) -> tuple[str, ...]:
        """The column of vectors."""
        return (self.vector_column,)

    def fingerprint_options(self, model: MultiVectorEmbedder) -> Mapping[str, Option]:  # noqa: ARG002
        """What changes vectors: that the texts are documents."""
        return {"side": "document"}

    def width(self, model: MultiVectorEmbedder) -> int:
        """How many dimensions a vector has."""
        return model.dimensions

    def tokenize(self, model: MultiVectorEmbedder, texts: list[str]) -> tuple[TokenBatch, Int32]:
        """Tokenize texts as documents, which have a limit of their own."""
        return model.tokenize(texts, self.prompt)

    def embed_tokens(
        self, model: MultiVectorEmbedder, tokens: TokenBatch, advance: Callable[[int], object]
    ) -> MultiVectors:
        """The vectors of texts."""
        return model.embed_tokens(tokens, advance=advance)

    def columns(
        self,
        model: MultiVectorEmbedder,  # noqa: ARG002  As the base class has it.
        results: MultiVectors,
        ranges: Ranges | None,  # noqa: ARG002
    ) -> tuple[Column, ...]:
        """The vectors."""
        return (multi_vector_column(results),)
