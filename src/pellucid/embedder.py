"""A dense vector for each text. To add another task, imitate this file: its prompts, its finish, its type of result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt

from pellucid.cache.codecs import VectorCodec
from pellucid.checks import check_choice, check_integer
from pellucid.embedding import EmbeddingTask
from pellucid.encoder.encoder import Dtype, Encoder, EngineName
from pellucid.encoder.fingerprint import EMBEDDING
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS, choose_prompt
from pellucid.encoder.together import Reading
from pellucid.errors import (
    InputError,
    InvalidModelError,
    ModelKindWarning,
    OptionError,
    TextTypeError,
    UnsupportedModelError,
    warn,
)
from pellucid.layers.finish import Pool
from pellucid.layers.quantization import OUTPUT_DTYPES, check_ranges, to_dtype
from pellucid.reprs import engine_and_dtype, short_text
from pellucid.scoring import gives_scores
from pellucid.task import Call
from pellucid.text.checks import as_iterator, as_list, check_texts
from pellucid.text.sides import Side
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32, Ranked, TokenBatch, check_tokens
from pellucid.vectors.similarity import nearest

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.explain.comparison import Comparison
    from pellucid.explain.trace import Trace
    from pellucid.text.chunking import Kind, LongText

OutputDtype = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
_MAX_PROMPT_TOKENS = 1 << 31


class Embedder(EmbeddingTask):
    """A sentence-transformers model that gives each text a vector. Several threads may share one.

    Args:
        model_name: a Hub name (``"sentence-transformers/all-MiniLM-L6-v2"``), the short name of a model of that
            organisation (``"all-MiniLM-L6-v2"``), a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that
            several tasks share. ``Encoder`` documents the options that are not listed here.
        cache: a file or a :class:`~pellucid.cache.store.Cache` that keeps vectors, so that none is computed twice.
        on_truncation: what to do with texts longer than ``max_tokens``: cut them and warn once per call (``"warn"``),
            raise before any arithmetic (``"error"``), or cut them silently (``"cut"``; older name ``"ignore"``).

    Raises:
        OptionError: an option's value is not supported.
        CacheError: the cache file cannot be used.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
    """

    task_name = EMBEDDING
    other_names: ClassVar[dict[str, str]] = EmbeddingTask.other_names | {
        name: ours
        for ours, names in (
            ("embed_documents(texts), or embed_query(text) for a query", "encode embed embed_texts encode_documents"),
            ("embed_documents(texts)", "encode_document passage_embed"),
            ("embed_query(text)", "encode_query encode_queries query_embed embed_text"),
            ("pellucid.similarity(a, b) for vectors, or most_similar(query, documents)", "similarity cos_sim"),
            ("most_similar(query, documents)", "search semantic_search rank nearest"),
            ("pellucid.near_duplicates(vectors)", "near_duplicates"),
            ("pellucid.cluster(vectors)", "cluster"),
            ("trace(text) or compare(text_a, text_b)", "explain"),
            ("dimensions", "dimension dim get_sentence_embedding_dimension get_embedding_dimension"),
        )
        for name in names.split()
    }

    def __init__(
        self,
        model_name: str | os.PathLike[str] | Encoder,
        *,
        dtype: Dtype = "float32",
        engine: EngineName = "auto",
        device: str = "cpu",
        threads: int | None = None,
        revision: str | None = None,
        cache_folder: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        cache: str | os.PathLike[str] | Cache | None = None,
        max_tokens: int | None = None,
        on_truncation: OnTruncation = "warn",
    ) -> None:
        arithmetic = {"dtype": dtype, "engine": engine, "device": device, "threads": threads, "max_tokens": max_tokens}
        hub = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only, "token": token}
        super().__init__(model_name, arithmetic | hub, cache, on_truncation)
        self.spec.pooling  # noqa: B018  Raises if the model does not pool.
        self._for_queries = self
        if (encoder := self.encoder.for_queries) is not self.encoder:
            self._for_queries = type(self)(encoder, cache=self.cache, on_truncation=on_truncation)
            if self._for_queries.dimensions != self.dimensions:
                raise InvalidModelError(
                    f"{self.spec.name}: vectors of queries have {self._for_queries.dimensions} numbers, and those of "
                    f"documents {self.dimensions}, so they cannot be compared."
                )
        if gives_scores(self.files, self.spec):
            warn(
                ModelKindWarning(
                    f"{self.spec.name} was trained to give scores or labels, so its vectors mean little. Use Reranker "
                    f"or Classifier, or another model."
                )
            )

    def __repr__(self) -> str:
        name = short_text(self.model_name, 60)
        return f"Embedder({name}, dimensions={self.dimensions}, {engine_and_dtype(self.engine)})"

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self.spec.dimensions

    @property
    def for_queries(self) -> Embedder:
        """What embeds queries: this Embedder itself, unless the model has another way for queries (a Router)."""
        return self._for_queries

    def embed_documents(
        self,
        texts: Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_dtype: OutputDtype = "float32",
        show_progress: bool = False,
    ) -> npt.NDArray[Any]:
        """Embed texts as ``[n, d]``, in their order. A text's vector does not depend on the other texts of the call.

        Args:
            texts: the texts; ``""`` is a text too.
            prompt_name: put the model's prompt of this name (a key of ``spec.prompts``) before each text.
            prompt: put this before each text; ``""`` for no prompt. If you give neither, the model's "document",
                "passage" or "corpus" prompt is used, if it has one.
            normalize: True for unit length, False for no normalization, None for what the model does.
            truncate_dim: keep only this many leading dimensions, for models that were trained for it.
            output_dtype: "float32"; "float16"; "int8" or "uint8", scaled by each dimension's range in this call;
                "binary" or "ubinary", one bit per dimension, which gives ``[n, ceil(d / 8)]``.
            show_progress: draw a progress bar, on a terminal or in a notebook.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            TruncationError: a text is too long for ``on_truncation="error"``. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        prompt = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        call = self._call(prompt, normalize, truncate_dim, output_dtype)
        texts = as_list(texts)
        check_ranges(len(texts), output_dtype)
        return to_dtype(self._run(texts, call, show_progress=show_progress), output_dtype)

    def embed_query(
        self,
        text: str,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_dtype: OutputDtype = "float32",
    ) -> npt.NDArray[Any]:
        """Embed one text as ``[d]``. The default prompt is the model's "query" prompt, if it has one.

        The options and errors are those of :meth:`embed_documents`.
        """
        if not isinstance(text, str):
            raise TextTypeError(f"the text is of type {type(text).__name__}; embed_query takes one str.")
        prompt = choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt)
        embedder = self._for_queries
        call = embedder._call(prompt, normalize, truncate_dim, output_dtype)
        check_ranges(1, output_dtype)
        return to_dtype(embedder._run([text], call), output_dtype).squeeze(axis=0)

    async def aembed_documents(self, texts: Sequence[str], **options: Any) -> npt.NDArray[Any]:
        """:meth:`embed_documents` in a thread, for programs with an event loop."""
        import asyncio  # It takes a moment, and most programs have no event loop.

        return await asyncio.to_thread(self.embed_documents, texts, **options)

    async def aembed_query(self, text: str, **options: Any) -> npt.NDArray[Any]:
        """:meth:`embed_query` in a thread, for programs with an event loop."""
        import asyncio

        return await asyncio.to_thread(self.embed_query, text, **options)

    def embed_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_dtype: OutputDtype = "float32",
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Iterator[npt.NDArray[Any]]:
        """Embed any number of texts in bounded memory. Yields ``[m, d]`` for the next m texts, in order.

        ``advance`` is called after each part of the work with its number of texts, for progress bars. The other options
        and the errors are those of :meth:`embed_documents`. Positions count from the start of the stream, and a
        truncation warning comes at its end. "int8" and "uint8" are refused: they need the ranges of all vectors.
        """
        prompt = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        call = self._call(prompt, normalize, truncate_dim, output_dtype)
        if output_dtype in ("int8", "uint8"):
            message = f"output_dtype={output_dtype!r} needs the ranges of all vectors. Use embed_documents."
            raise OptionError(message, "output_dtype")
        return (to_dtype(vectors, output_dtype) for vectors in self._run_stream(as_iterator(texts), call, advance))

    def embed_long(
        self,
        text: str,
        *,
        overlap: int = 0,
        kind: Kind = "text",
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize: bool | None = None,
    ) -> LongText:
        """Split a long text into chunks that fit the model, embed each, and return them with their token-weighted mean.

        ``kind`` ("text", "markdown" or "code") decides where to cut. About the last ``overlap`` tokens of a chunk are
        repeated at the start of the next. The other options and the errors are those of :meth:`embed_documents`: the
        prompt goes before each chunk, and ``normalize`` applies to the mean too.
        """
        from pellucid.text.chunking import join_chunks, spans_or_whole

        check_texts([text])
        prompt = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        spans = spans_or_whole(text, self.tokenizer, overlap=overlap, kind=kind, prompt=prompt)
        chunks = [text[span.start : span.end] for span in spans]
        vectors = self.embed_documents(chunks, prompt=prompt, normalize=normalize)
        return join_chunks(spans, vectors, unit_length=self.spec.unit_length if normalize is None else normalize)

    def most_similar(
        self, query: str | npt.ArrayLike, documents: Sequence[str] | npt.NDArray[Any], k: int = 10
    ) -> list[Ranked]:
        """Find the ``k`` documents that are most similar to a query, best first. The score is the cosine.

        Args:
            query: a text, which gets the prompt of :meth:`embed_query`; or its vector, ``[d]``.
            documents: texts, which are embedded as in :meth:`embed_documents`; or their vectors, ``[n, d]``. To ask
                about the same documents again, embed them once and pass the vectors.
            k: how many to find. If there are fewer documents, all are ranked.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given.
            InputError: the vectors do not fit together, or a number is not a finite float.
            OptionError: ``k`` is not a whole number of at least 1.
        """
        k = check_integer("k", k, 1, sys.maxsize, "of at least 1")
        vector = self.embed_query(query) if isinstance(query, str) else np.asarray(query)
        if vector.ndim != 1:
            raise InputError(f"query has the shape {vector.shape}; it must be a text or one vector, [d].")
        vectors = documents if _are_vectors(documents) else self.embed_documents(cast("Sequence[str]", documents))
        indices, cosines = nearest(vector, vectors, k)
        return [Ranked(index, score) for index, score in zip(indices.tolist(), cosines.tolist(), strict=True)]

    def embed_tokens(
        self,
        tokens: TokenBatch,
        *,
        prompt_tokens: int = 0,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Float32:
        """Embed texts that are tokenized already, as ``float32[n, d]``. Gives the same bits as :meth:`embed_documents`.

        ``prompt_tokens`` says how many tokens at the start of each text belong to the prompt
        (``tokenizer.prompt_tokens``); some models leave those out of the pooling. ``advance`` is called after each part
        of the work with its number of texts. The other options are those of :meth:`embed_documents`.

        Raises:
            InputError: an id is not in ``[0, spec.encoder.vocab_size)``, a text has more than ``max_tokens`` tokens
                (special tokens included), or the offsets are wrong. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        finish = self.finish(prompt_tokens, normalize, truncate_dim)
        encoder = self.spec.encoder
        check_tokens(tokens, encoder.vocab_size, self.max_tokens, encoder.embedding.token_types)
        vectors = self.encoder.run(tokens, finish, advance=advance)
        finish.check(vectors, lambda row: row)
        return vectors

    def finish(self, prompt_tokens: int = 0, normalize: bool | None = None, truncate_dim: int | None = None) -> Pool:
        """The finish for these options of :meth:`embed_tokens`, to pass to ``encoder.run``.

        Raises:
            OptionError: an option's value is not supported.
        """
        check_choice("normalize", normalize, (None, True, False))
        if truncate_dim is not None:
            limit = self.dimensions
            truncate_dim = check_integer("truncate_dim", truncate_dim, 1, limit, f"from 1 to {limit}")
        prompt_tokens = check_integer("prompt_tokens", prompt_tokens, 0, _MAX_PROMPT_TOKENS, "of at least 0")
        if self.spec.pooling.include_prompt:
            prompt_tokens = 0  # Texts with different prompts then have equal finishes, and can be pooled together.
        return Pool(self.spec.pooling, self.encoder.modules, prompt_tokens, normalize, truncate_dim)

    def _reading(self, side: Side, prompt: str) -> Reading:  # noqa: ARG002
        return Reading(prompt, self.tokenizer, self.finish(self.tokenizer.prompt_tokens(prompt)))

    def _call(
        self, prompt: str, normalize: bool | None, truncate_dim: int | None, output_dtype: OutputDtype
    ) -> Call[Float32]:
        check_choice("output_dtype", output_dtype, OUTPUT_DTYPES)
        finish = self.finish(self.tokenizer.prompt_tokens(prompt), normalize, truncate_dim)
        options = {"normalize": normalize, "truncate_dim": finish.truncate_dim}  # Part of the cache's key.
        return Call(prompt, finish, VectorCodec(finish.truncate_dim or self.dimensions), options)

    def trace(self, text: str, *, prompt_name: str | None = None, prompt: str | None = None) -> Trace:
        """Show every step from a text to its vector, computed by the reference engine.

        The prompt is chosen as in :meth:`embed_query`, whose vector differs by at most 2e-6. A text that is too long is
        cut, whatever ``on_truncation`` is, and the trace says so.
        """
        from pellucid.explain.trace import trace

        return trace(self._for_queries.encoder, text, choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt))

    def compare(
        self, text_a: str, text_b: str, *, prompt_name: str | None = None, prompt: str | None = None
    ) -> Comparison:
        """Show why two texts are as close as they are: how much each pair of tokens adds to their cosine.

        By default ``text_a`` gets the model's prompt for queries and ``text_b`` the one for documents. A ``prompt`` or
        ``prompt_name`` goes before both.

        Raises:
            UnsupportedModelError: the model has different ways for queries and documents, so there are no such pairs.
        """
        from pellucid.explain.comparison import compare

        query = choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt)
        document = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        if self._for_queries is not self:
            raise UnsupportedModelError(
                f"{self.spec.name} reads queries and documents in different ways, which compare cannot show yet."
            )
        return compare(self.encoder, (text_a, query), (text_b, document))


def _are_vectors(documents: Sequence[Any] | npt.NDArray[Any]) -> bool:
    """True for an array of numbers and for a list of vectors; False for texts, in an array too."""
    if isinstance(documents, np.ndarray):
        return documents.dtype.kind not in "OUS"
    return isinstance(documents, list) and bool(documents) and isinstance(documents[0], (list, tuple, np.ndarray))
