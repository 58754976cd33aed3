"""A sparse vector for each text: a weight for each of the few tokens of the vocabulary that it is about."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pellucid.cache.codecs import SparseVectorCodec
from pellucid.checks import check_integer
from pellucid.embedding import EmbeddingTask
from pellucid.encoder.encoder import Dtype, Encoder, EngineName
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS, choose_prompt
from pellucid.encoder.together import Reading
from pellucid.errors import InputError, TextTypeError, UnsupportedModelError
from pellucid.layers.finish import Pool
from pellucid.layers.lexical import LexicalWeights
from pellucid.layers.pooling import Pooling
from pellucid.layers.vocabulary import SparseCode, SparseFinish, TokenWeights, VocabularyPool
from pellucid.model.load import load_query_table, read_settings
from pellucid.model.modules import load_autoencoder, load_dense
from pellucid.model.spec import AutoEncoderSpec, ModelSpec, SpladeSpec
from pellucid.model.special_tokens import named_tokens
from pellucid.model.token_heads import LEXICAL, why_no_head
from pellucid.query_table import QueryTable
from pellucid.reprs import engine_and_dtype, short_text
from pellucid.sources.files import ModelFiles
from pellucid.sparse_vectors import SparseVectors
from pellucid.task import Call, Task
from pellucid.text.checks import as_iterator, as_list, check_texts
from pellucid.text.sides import Side
from pellucid.text.tokenizer import Tokenizer
from pellucid.text.truncation import OnTruncation
from pellucid.types import TokenBatch, check_tokens

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.explain.sparse import ExplainedSparseScore, SparseText

_MOST_DIMS = 1 << 31
_UNUSED_TOKENS = {"cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
"""What FlagEmbedding leaves out of the sparse vectors of BGE-M3, and the usual spellings."""


class SparseEmbedder(EmbeddingTask):
    """A model that gives each text a sparse vector, such as SPLADE. Several threads may share one.

    A text's vector depends on that text alone, to the last bit. Two vectors are compared by their dot product.

    Args:
        model_name: a Hub name, a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several tasks share.
            ``Encoder`` documents the options that are not listed here.
        max_active_dims: keep only so many numbers of a vector, the largest ones; None for what the model's files say,
            which is usually all.
        cache: a file or a :class:`~pellucid.cache.store.Cache` that keeps vectors, so that none is computed twice.
        on_truncation: what to do with texts longer than ``max_tokens``: cut them and warn once per call (``"warn"``),
            raise before any arithmetic (``"error"``), or cut them silently (``"cut"``).

    Raises:
        OptionError: an option's value is not supported.
        CacheError: the cache file cannot be used.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
        UnsupportedModelError: the model gives no sparse vectors.
    """

    task_name = "sparse"
    other_names: ClassVar[dict[str, str]] = EmbeddingTask.other_names | {
        name: ours
        for ours, names in (
            ("embed_documents(texts), or embed_query(text) for a query", "encode embed"),
            ("embed_documents(texts)", "encode_document passage_embed"),
            ("embed_query(text)", "encode_query query_embed"),
            ("terms(vectors)", "decode"),
            ("the method dot of the vectors", "similarity"),
            ("dimensions", "get_sentence_embedding_dimension get_embedding_dimension"),
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
        max_active_dims: int | None = None,
        on_truncation: OnTruncation = "warn",
    ) -> None:
        arithmetic = {"dtype": dtype, "engine": engine, "device": device, "threads": threads, "max_tokens": max_tokens}
        hub = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only, "token": token}
        super().__init__(model_name, arithmetic | hub, cache, on_truncation)
        if max_active_dims is None:
            saved = read_settings(self.files).integer("max_active_dims", 0, minimum=0)
            max_active_dims = saved or None
        self._max_active_dims = _check_dims(max_active_dims)
        self._finish = self._make_finish()
        self._queries = self._load_queries()

    def __repr__(self) -> str:
        name = short_text(self.model_name, 60)
        return f"SparseEmbedder({name}, dimensions={self.dimensions:,}, {engine_and_dtype(self.engine)})"

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[Any, ...]]:
        """Pickle the arguments. Unpickling creates the task again, and loads its model."""
        return _create, (type(self), self.encoder, self._max_active_dims, self.cache, self.on_truncation)

    @property
    def dimensions(self) -> int:
        """The length of a vector, zeros included. For SPLADE, that is the size of the vocabulary."""
        autoencoder = self._autoencoder_spec
        return self.spec.encoder.vocab_size if autoencoder is None else autoencoder.out_features

    @property
    def max_active_dims(self) -> int | None:
        """How many numbers of a vector are kept at most; None for no limit."""
        return self._max_active_dims

    def embed_documents(
        self,
        texts: Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        max_active_dims: int | None = None,
        show_progress: bool = False,
    ) -> SparseVectors:
        """Embed texts, in their order.

        Args:
            texts: the texts; ``""`` is a text too.
            prompt_name: put the model's prompt of this name (a key of ``spec.prompts``) before each text.
            prompt: put this before each text; ``""`` for no prompt. If you give neither, the model's "document",
                "passage" or "corpus" prompt is used, if it has one.
            max_active_dims: keep only so many numbers of a vector, the largest ones; None for what the task was created
                with.
            show_progress: draw a progress bar, on a terminal or in a notebook.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            TruncationError: a text is too long for ``on_truncation="error"``. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        call = self._call(choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt), max_active_dims)
        return self._run(as_list(texts), call, show_progress=show_progress)

    def embed_query(
        self,
        text: str,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        max_active_dims: int | None = None,
    ) -> SparseVectors:
        """Embed one text: the vectors have the length 1. The default prompt is the model's "query" prompt.

        The options and errors are those of :meth:`embed_documents`.
        """
        if not isinstance(text, str):
            raise TextTypeError(f"the text is of type {type(text).__name__}; embed_query takes one str.")
        chosen = choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt)
        if self._queries is not None:
            return self._queries.embed_query(text, prompt=chosen, max_active_dims=self._dims(max_active_dims))
        return self._run([text], self._call(chosen, max_active_dims))

    def embed_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        max_active_dims: int | None = None,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Iterator[SparseVectors]:
        """Embed any number of texts in bounded memory. Yields the vectors of the next texts, in order.

        ``advance`` is called after each part of the work with its number of texts, for progress bars. The other options
        and the errors are those of :meth:`embed_documents`. Positions count from the start of the stream, and a
        truncation warning comes at its end.
        """
        call = self._call(choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt), max_active_dims)
        return self._run_stream(as_iterator(texts), call, advance)

    def embed_tokens(
        self,
        tokens: TokenBatch,
        *,
        max_active_dims: int | None = None,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> SparseVectors:
        """Embed documents that are tokenized already. Gives the same bits as :meth:`embed_documents`.

        ``advance`` is called after each part of the work with its number of texts.

        Raises:
            InputError: the tokens are not those of this model, or a text has more than ``max_tokens``.
            OptionError: ``max_active_dims`` is not a whole number of at least 1.
        """
        encoder, finish = self.spec.encoder, self.finish(max_active_dims)
        check_tokens(tokens, encoder.vocab_size, self.max_tokens, encoder.embedding.token_types)
        vectors: SparseVectors = self.encoder.run(tokens, finish, advance=advance)
        finish.check(vectors, lambda row: row)
        return vectors

    def terms(self, vectors: SparseVectors, *, limit: int | None = None) -> list[list[tuple[str, float]]]:
        """What vectors are about: for each one its tokens and their weights, the heaviest first.

        Args:
            vectors: vectors of this model.
            limit: how many tokens to give of each vector; None for all.

        Raises:
            InputError: the vectors are of another model.
            UnsupportedModelError: the dimensions of this model's vectors are not tokens.
        """
        self._token_weights()  # Raises if the dimensions are not tokens.
        if vectors.dimensions != self.dimensions:
            raise InputError(
                f"the vectors have {vectors.dimensions:,} dimensions, but those of {self.spec.name} have "
                f"{self.dimensions:,}."
            )
        if limit is not None:
            vectors = vectors.largest(check_integer("limit", limit, 1, _MOST_DIMS, "of at least 1"))
        found = []
        for vector in vectors:
            order = (-vector.values).argsort(kind="stable")
            pieces = map(self.tokenizer.piece, vector.indices[order].tolist())
            found.append(list(zip(pieces, vector.values[order].tolist(), strict=True)))
        return found

    def explain(
        self, query: str, document: str, *, prompt_name: str | None = None, prompt: str | None = None
    ) -> ExplainedSparseScore:
        """Show why a document has its score for a query: the terms that they share, and what raised each of them.

        The score is the dot product of their vectors, which is the sum of what the terms add. The prompt is that of the
        query, as in :meth:`embed_query`. A text that is too long is cut, whatever ``on_truncation`` is.

        Raises:
            TextTypeError, TextError: a text cannot be used.
            OptionError: the model has no such prompt.
            UnsupportedModelError: the dimensions of this model's vectors are not tokens.
        """
        from pellucid.explain.sparse import explain_score
        from pellucid.explain.trace import display_name

        check_texts([query, document])
        query_prompt = choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt)
        return explain_score(
            display_name(self.encoder),
            self.for_queries.explain_text(query, prompt=query_prompt),
            self.explain_text(document, prompt=self.document_prompt),
        )

    def explain_text(self, text: str, *, prompt_name: str | None = None, prompt: str | None = None) -> SparseText:
        """Show what a text is about: its terms, and the token that raised each. It is read as a document.

        The errors are those of :meth:`explain`.
        """
        from pellucid.explain.sparse import explain_text

        check_texts([text])
        chosen = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        return explain_text(self.encoder, self._token_weights(), text, chosen)

    def _token_weights(self) -> TokenWeights:
        finish = self.finish()
        if not isinstance(finish, TokenWeights):
            raise UnsupportedModelError(f"{self.spec.name}: the dimensions of its vectors are not tokens.")
        return finish

    @property
    def reads_queries_apart(self) -> bool:
        """True if the model has another way for queries than for documents, such as a table of weights."""
        return self._queries is not None

    @property
    def for_queries(self) -> SparseEmbedder | QueryTable:
        """What embeds queries: this SparseEmbedder itself, unless the model has another way for queries."""
        return self if self._queries is None else self._queries

    def finish(self, max_active_dims: int | None = None) -> SparseFinish:
        """Turns token vectors into sparse ones, to pass to ``encoder.run``.

        Raises:
            OptionError: ``max_active_dims`` is not a whole number of at least 1.
        """
        return self._finish(self._dims(max_active_dims))

    def _dims(self, max_active_dims: int | None) -> int | None:
        return self._max_active_dims if max_active_dims is None else _check_dims(max_active_dims)

    def _load_queries(self) -> QueryTable | SparseEmbedder | None:
        """What reads the queries, if it is not what reads the documents."""
        table = load_query_table(self.files, self.spec.encoder.vocab_size)
        if table is not None:
            spec, weights = table
            return QueryTable(Tokenizer(self.files, spec, self.spec.encoder), weights, self.on_truncation)
        encoder = self.encoder.for_queries
        if encoder is self.encoder:
            return None
        return type(self)(
            encoder, max_active_dims=self._max_active_dims, cache=self.cache, on_truncation=self.on_truncation
        )

    def _reading(self, side: Side, prompt: str) -> Reading:  # noqa: ARG002
        return Reading(prompt, self.tokenizer, self.finish())

    def _unused_tokens(self) -> tuple[int, ...]:
        """The tokens that never count in BGE-M3: those that mark a text's ends, padding, and the unknown token."""
        spellings = {
            spelling
            for key, usual in _UNUSED_TOKENS.items()
            for spelling in named_tokens(self.files, self.tokenizer.spec.folder, key) or [usual]
        }
        return tuple(sorted(number for name in spellings if (number := self.tokenizer.token_id(name)) is not None))

    def _call(self, prompt: str, max_active_dims: int | None) -> Call[SparseVectors]:
        options = {"max_active_dims": self._dims(max_active_dims)}  # Part of the cache's key.
        return Call(prompt, self.finish(max_active_dims), SparseVectorCodec(self.dimensions), options)

    @property
    def _autoencoder_spec(self) -> AutoEncoderSpec | None:
        last = self.spec.stages[-1] if self.spec.stages else None
        return last if isinstance(last, AutoEncoderSpec) else None

    def _make_finish(self) -> Callable[[int | None], SparseFinish]:
        """What makes a finish for a number of dimensions.

        Raises:
            UnsupportedModelError: the model gives no sparse vectors.
        """
        spec = self.spec
        if spec.lexical is not None:
            dense, unused = load_dense(self.files, spec.lexical), self._unused_tokens()
            return lambda dims: LexicalWeights(dense, self.dimensions, unused, dims)
        if not gives_sparse_vectors(self.files, spec):
            raise UnsupportedModelError(
                why_no_head(self.files, LEXICAL)
                or f"{spec.name} gives no sparse vectors. If it gives one dense vector for each text, use Embedder."
            )
        match spec.stages:
            case (Pooling() as pooling, *_, AutoEncoderSpec() as last):
                pool, autoencoder = Pool(pooling, self.encoder.modules), load_autoencoder(self.files, last)
                return lambda dims: SparseCode(pool, autoencoder, dims)
            case (SpladeSpec() as splade,):
                pass
            case _:
                splade = SpladeSpec()  # sentence-transformers does the same with a masked language model.
        head = self.encoder.vocabulary
        if head is None:
            raise AssertionError("load_spec reads the head of each model with these stages")
        return lambda dims: VocabularyPool(head, splade.mode, splade.logs, dims)


def gives_sparse_vectors(files: ModelFiles, spec: ModelSpec) -> bool:
    """True for a model that gives sparse vectors: its modules say so, or it is a masked language model without any."""
    match spec.stages:
        case (SpladeSpec(),) | (Pooling(), *_, AutoEncoderSpec()):
            return True
    return spec.vocabulary is not None and not files.has("modules.json")


def _create(
    kind: Callable[..., Task], encoder: Encoder, dims: int | None, cache: Cache | None, on_truncation: OnTruncation
) -> Task:
    return kind(encoder, max_active_dims=dims, cache=cache, on_truncation=on_truncation)


def _check_dims(dims: int | None) -> int | None:
    return None if dims is None else check_integer("max_active_dims", dims, 1, _MOST_DIMS, "of at least 1, or None")
