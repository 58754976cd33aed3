"""Jobs that give each text a vector, and what they share with jobs of sparse vectors and of several vectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pellucid.batch.options import JobOptions, Ranges
from pellucid.embedder import Embedder
from pellucid.embedding import EmbeddingTask
from pellucid.encoder.fingerprint import Option
from pellucid.errors import OptionError
from pellucid.layers.quantization import to_dtype, to_int8
from pellucid.tables.arrow import Column, vector_column
from pellucid.types import Float32, Int32, TokenBatch

EmbeddingModel = TypeVar("EmbeddingModel", bound=EmbeddingTask)

BATCH_OUTPUT_DTYPES = ("float32", "float16", "int8", "binary", "ubinary")
PACKED_BITS = ("binary", "ubinary")


class EmbeddingOptions(JobOptions[EmbeddingModel]):
    """What jobs share that embed the texts of a column as documents. What they compute is the same with a cache."""

    has_vectors: ClassVar[bool] = True

    @property
    def call_options(self) -> Mapping[str, Any]:
        """The options of the model's ``embed_documents`` that the job sets, besides the prompt."""
        return {}

    def tokenize(self, model: EmbeddingModel, texts: list[str]) -> tuple[TokenBatch, Int32]:
        """Tokenize texts, each with the prompt."""
        return model.tokenizer.tokenize(texts, self.prompt)

    def compute(
        self, model: EmbeddingModel, texts: list[str], tokens: TokenBatch, advance: Callable[[int], object]
    ) -> Any:
        """Embed texts, or take their vectors from the cache."""
        if model.cache is None:
            return self.embed_tokens(model, tokens, advance)
        results = model.embed_documents(texts, prompt=self.prompt, **self.call_options)
        advance(len(texts))
        return results

    @abstractmethod
    def embed_tokens(self, model: EmbeddingModel, tokens: TokenBatch, advance: Callable[[int], object]) -> Any:
        """Embed texts that are tokenized."""


@dataclass(frozen=True, repr=False)
class EmbedOptions(EmbeddingOptions[Embedder]):
    """What a job does that embeds texts.

    Attributes:
        text_column: the column of texts.
        vector_column: the column that their vectors get.
        prompt: put before each text.
        normalize: as for :meth:`~pellucid.embedder.Embedder.embed_documents`.
        truncate_dim: as there.
        output_dtype: "float32", "float16", "int8", "binary" or "ubinary".
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file.
    """

    text_column: str = "text"
    vector_column: str = "vector"
    prompt: str = ""
    normalize: bool | None = None
    truncate_dim: int | None = None
    output_dtype: str = "float32"
    on_truncation: str = "cut"
    rows_per_file: int = 16_384

    naming_options: ClassVar[tuple[str, ...]] = ("--vector-column",)

    @property
    def added_columns(self) -> tuple[str, ...]:
        """The column of vectors."""
        return (self.vector_column,)

    @property
    def needs_ranges(self) -> bool:
        """Whether the vectors are stored as int8."""
        return self.output_dtype == "int8"

    @property
    def call_options(self) -> Mapping[str, Any]:
        """The scaling to length 1, and how many dimensions are kept."""
        return {"normalize": self.normalize, "truncate_dim": self.truncate_dim}

    def fingerprint_options(self, model: Embedder) -> Mapping[str, Option]:  # noqa: ARG002  As the base class has it.
        """What changes vectors: the options of the call."""
        return self.call_options

    def width(self, model: Embedder) -> int:
        """How many dimensions a vector has."""
        return self.truncate_dim or model.dimensions

    def embed_tokens(self, model: Embedder, tokens: TokenBatch, advance: Callable[[int], object]) -> Float32:
        """The vectors of texts. Some models leave the prompt's tokens out of the pooling."""
        prompt_tokens = model.tokenizer.prompt_tokens(self.prompt)
        return model.embed_tokens(tokens, prompt_tokens=prompt_tokens, advance=advance, **self.call_options)

    def columns(self, model: Embedder, results: Float32, ranges: Ranges | None) -> tuple[Column, ...]:  # noqa: ARG002
        """The vectors, in the type in which they are stored."""
        stored = to_int8(results, *ranges) if ranges is not None else to_dtype(results, self.output_dtype)
        return (vector_column(stored, packed_bits=self.output_dtype in PACKED_BITS),)

    def metadata(self, ranges: Ranges | None) -> dict[str, Any]:
        """The type of the vectors, and for int8 what each dimension's numbers mean."""
        metadata: dict[str, Any] = {"vector_column": self.vector_column, "output_dtype": self.output_dtype}
        if ranges is not None:
            metadata |= {"low": ranges[0].tolist(), "high": ranges[1].tolist()}
        return metadata

    def check(self, model: Embedder) -> None:
        """Refuse options that cannot be used."""
        check_output_dtype(self.output_dtype)
        super().check(model)
        if self.truncate_dim is not None and not 1 <= self.truncate_dim <= model.dimensions:
            raise OptionError(f"truncate_dim={self.truncate_dim} must be from 1 to {model.dimensions}.", "truncate_dim")


def check_output_dtype(output_dtype: str, *, exclude: Sequence[str] = ()) -> None:
    """Refuse a type of vectors that cannot be written.

    Raises:
        OptionError: it is not in ``BATCH_OUTPUT_DTYPES``, or it is in ``exclude``.
    """
    allowed = [name for name in BATCH_OUTPUT_DTYPES if name not in exclude]
    if output_dtype not in allowed:
        raise OptionError(f"output_dtype={output_dtype!r} is not one of {', '.join(allowed)}.", "output_dtype")
