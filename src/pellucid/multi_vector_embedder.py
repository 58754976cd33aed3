"""A vector for each token of a text, and MaxSim to compare a query with documents: late interaction, as in ColBERT."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np
import numpy.typing as npt

from pellucid.cache.codecs import MultiVectorCodec
from pellucid.checks import check_integer
from pellucid.embedding import EmbeddingTask
from pellucid.encoder.encoder import Dtype, Encoder, EngineName
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS, choose_prompt
from pellucid.encoder.together import Reading
from pellucid.errors import TextTypeError, UnsupportedModelError
from pellucid.layers.finish import EachToken
from pellucid.layers.norms import normalize as scale_to_unit_length
from pellucid.layers.token_mask import TokenMask
from pellucid.layers.token_pooling import TokenPooling
from pellucid.model.modules import load_modules
from pellucid.model.spec import DenseSpec, ExpansionSpec, TokenMaskSpec, TokenPoolingSpec
from pellucid.model.token_heads import LATE, why_no_head
from pellucid.reprs import engine_and_dtype, short_text
from pellucid.task import Call
from pellucid.text.checks import as_iterator, as_list, check_texts
from pellucid.text.sides import AnySide, Side, SideTokenizers
from pellucid.text.tokenizer import Tokenizer
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32, Int32, MultiVectors, Ranked, TokenBatch, check_tokens
from pellucid.vectors.maxsim import check_documents, check_query

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.explain.alignment import AlignedText, Alignment

_Stage = TypeVar("_Stage", TokenMaskSpec, TokenPoolingSpec)


@dataclass(frozen=True)
class _SideCall(Call[MultiVectors]):
    """A call that says what its texts are."""

    side: AnySide = "document"


class MultiVectorEmbedder(EmbeddingTask):
    """A model that gives each token of a text a vector, such as ColBERT. Several threads may share one.

    A query is compared with a document by MaxSim (Khattab and Zaharia, "ColBERT", 2020): each token of the query finds
    the token of the document that is most similar, and the score is the sum of these similarities. A text's vectors
    depend on that text alone, and a score on its query and its document, to the last bit.

    Args:
        model_name: a Hub name, a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several tasks share.
            ``Encoder`` documents the options that are not listed here. ``max_tokens`` is a limit for documents.
        cache: a file or a :class:`~pellucid.cache.store.Cache` that keeps vectors, so that none is computed twice.
        on_truncation: what to do with texts that are too long: cut them and warn once per call (``"warn"``), raise
            before any arithmetic (``"error"``), or cut them silently (``"cut"``).

    Raises:
        OptionError: an option's value is not supported.
        CacheError: the cache file cannot be used.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.
        UnsupportedModelError: the model does not give vectors of tokens.
    """

    task_name = "multi-vector"
    texts_per_window = 256  # Their vectors take a hundred times more room than dense ones.
    other_names: ClassVar[dict[str, str]] = EmbeddingTask.other_names | {
        name: ours
        for ours, names in (
            ("embed_documents(texts), or embed_query(text) for a query", "encode embed"),
            ("embed_documents(texts)", "encode_document passage_embed"),
            ("embed_query(text), or embed_queries(texts)", "encode_query encode_queries query_embed"),
            ("maxsim(query, documents)", "similarity colbert_score score"),
            ("rank(query, documents)", "rerank search"),
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
        on_truncation: OnTruncation = "warn",
    ) -> None:
        arithmetic = {"dtype": dtype, "engine": engine, "device": device, "threads": threads, "max_tokens": max_tokens}
        hub = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only, "token": token}
        super().__init__(model_name, arithmetic | hub, cache, on_truncation)
        spec = self.spec.late_interaction
        if spec is None:
            raise UnsupportedModelError(
                why_no_head(self.files, LATE)
                or f"{self.spec.name} does not give each token a vector that can be compared. If it gives one vector "
                f"for each text, use Embedder."
            )
        if self.encoder.reads_queries_apart:
            raise UnsupportedModelError(
                f"{self.spec.name} reads queries in a way of their own (a Router), which MultiVectorEmbedder does not "
                f"support."
            )
        self._stages = spec.stages
        self._modules = load_modules(self.files, spec.stages)
        self._tokenizers = SideTokenizers(
            self.files,
            self.tokenizer,
            spec,
            self.spec.encoder.max_tokens,
            keep_limit=self.encoder.own_max_tokens is not None,
        )
        self._fills_up_queries = spec.expansion is not None
        if spec.expansion is not None:
            self._check_expansion(spec.expansion)

    def __repr__(self) -> str:
        name = short_text(self.model_name, 60)
        return f"MultiVectorEmbedder({name}, dimensions={self.dimensions}, {engine_and_dtype(self.engine)})"

    @property
    def dimensions(self) -> int:
        """The length of a token's vector."""
        sizes = [stage.out_features for stage in self._stages if isinstance(stage, DenseSpec)]
        return sizes[-1] if sizes else self.spec.encoder.hidden_size

    @property
    def max_tokens(self) -> int:
        """How many tokens of a document are read, special tokens included. A longer document is truncated."""
        return self._tokenizers.max_tokens("document")

    @property
    def max_query_tokens(self) -> int:
        """How many tokens of a query are read, special tokens included. A longer query is truncated."""
        return self._tokenizers.max_tokens("query")

    def embed_documents(
        self,
        texts: Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        show_progress: bool = False,
    ) -> MultiVectors:
        """Embed documents, in their order.

        Tokens that the model skips, such as punctuation, have no vector. A document may have none at all.

        Args:
            texts: the documents; ``""`` is one too.
            prompt_name: put the model's prompt of this name (a key of ``spec.prompts``) before each text.
            prompt: put this before each text; ``""`` for no prompt. If you give neither, the model's "document",
                "passage" or "corpus" prompt is used, if it has one. It holds the marker of documents, such as "[D] ".
            show_progress: draw a progress bar, on a terminal or in a notebook.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            TruncationError: a text is too long for ``on_truncation="error"``. Nothing was computed.
            OptionError: an option's value is not supported.
        """
        chosen = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        return self.embed_as("document", texts, chosen, show_progress=show_progress)

    def embed_queries(
        self, texts: Sequence[str], *, prompt_name: str | None = None, prompt: str | None = None
    ) -> MultiVectors:
        """Embed queries, in their order. Some models fill up short queries with tokens that have vectors too.

        The default prompt is the model's "query" prompt. The options and errors are those of :meth:`embed_documents`.
        """
        return self.embed_as("query", texts, choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt))

    def embed_query(self, text: str, *, prompt_name: str | None = None, prompt: str | None = None) -> Float32:
        """Embed one query: ``float32[t, d]``. The options and errors are those of :meth:`embed_queries`."""
        if not isinstance(text, str):
            raise TextTypeError(f"the text is of type {type(text).__name__}; embed_query takes one str.")
        return self.embed_queries([text], prompt_name=prompt_name, prompt=prompt).vectors

    def embed_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Iterator[MultiVectors]:
        """Embed any number of documents in bounded memory. Yields the vectors of the next ones, in order.

        ``advance`` is called after each part of the work with its number of texts, for progress bars. The other options
        and the errors are those of :meth:`embed_documents`. Positions count from the start of the stream, and a
        truncation warning comes at its end.
        """
        chosen = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        return self.stream_as("document", texts, chosen, advance=advance)

    def embed_as(
        self,
        side: AnySide,
        texts: Sequence[str],
        prompt: str,
        *,
        normalize: bool = False,
        show_progress: bool = False,
    ) -> MultiVectors:
        """Embed texts of one kind with this prompt, whatever the model's own prompt is.

        Args:
            side: "query"; "document"; or "text", which is a document of any length that the model can read.
            texts: the texts.
            prompt: goes before each text.
            normalize: scale each vector to length 1, even if the model does not.
            show_progress: draw a progress bar.

        Raises:
            TextTypeError, TextError, TruncationError: as :meth:`embed_documents`.
        """
        vectors = self._run(as_list(texts), self._call(side, prompt), show_progress=show_progress)
        return MultiVectors(scale_to_unit_length(vectors.vectors), vectors.offsets) if normalize else vectors

    def stream_as(
        self,
        side: AnySide,
        texts: Iterable[str],
        prompt: str,
        *,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Iterator[MultiVectors]:
        """Embed any number of texts as :meth:`embed_as` does, and yield their vectors as :meth:`embed_stream` does."""
        return self._run_stream(as_iterator(texts), self._call(side, prompt), advance)

    def read_as(self, side: AnySide, text: str, prompt: str) -> AlignedText:
        """How a text of this kind is read: its tokens that have a vector, and those that have none.

        The tokens that fill up a query are there too. The arguments are those of :meth:`embed_as`. Nothing is computed.
        """
        return self._read(self.tokenize([text], prompt, side=side)[0], side, text, prompt)

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", *, side: AnySide = "document"
    ) -> tuple[TokenBatch, Int32]:
        """Turn texts into the tokens that :meth:`embed_tokens` takes. Queries are filled up if the model does that.

        ``side`` and ``prompt`` are those of :meth:`embed_as`.

        Returns:
            The tokens, and ``int32[n]``: how many each text had before it was cut or filled up.

        Raises:
            TextTypeError, TextError: a text cannot be used.
        """
        return self._tokenize_now(as_list(texts), self._call(side, prompt), 0)

    def embed_tokens(
        self,
        tokens: TokenBatch,
        *,
        side: AnySide = "document",
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> MultiVectors:
        """Embed texts that :meth:`tokenize` has made into tokens. Gives the same bits as :meth:`embed_as`.

        ``advance`` is called after each part of the work with its number of texts.

        Raises:
            InputError: the tokens are not those of this model, or a text has more than its encoder reads.
        """
        encoder, finish = self.spec.encoder, self.finish(side)
        check_tokens(tokens, encoder.vocab_size, encoder.max_tokens, encoder.embedding.token_types)
        vectors: MultiVectors = self.encoder.run(tokens, finish, advance=advance)
        finish.check(vectors, lambda row: row)
        return vectors

    def maxsim(self, query: str | npt.ArrayLike, documents: Sequence[str] | MultiVectors) -> Float32:
        """Score documents for a query: ``float32[n]``, in the documents' order.

        A document without vectors scores -1e9, which is below any other.

        Args:
            query: a text, which is embedded as in :meth:`embed_query`; or its vectors, ``[t, d]``.
            documents: texts, which are embedded as in :meth:`embed_documents`; or their vectors. To ask about the same
                documents again, embed them once and pass the vectors.

        Raises:
            TextTypeError, TextError, TruncationError: as :meth:`embed_documents`.
            InputError: the vectors do not fit together, or a number is not a finite float.
        """
        vectors = self.embed_query(query) if isinstance(query, str) else check_query(query)
        is_text = isinstance(documents, (str, list, tuple)) or not isinstance(documents, MultiVectors)
        found = self.embed_documents(cast("Sequence[str]", documents)) if is_text else documents
        return self.engine.maxsim(vectors, check_documents(found, vectors.shape[1]))

    def rank(
        self, query: str | npt.ArrayLike, documents: Sequence[str] | MultiVectors, top_k: int | None = None
    ) -> list[Ranked]:
        """Sort documents by their score for a query, best first. Equal scores keep the documents' order.

        ``top_k`` is how many to return; None for all. The other arguments and the errors are those of :meth:`maxsim`.
        """
        if top_k is not None:
            top_k = check_integer("top_k", top_k, 1, sys.maxsize, "of at least 1, or None for all")
        scores = self.maxsim(query, documents)
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [Ranked(index, score) for index, score in zip(order.tolist(), scores[order].tolist(), strict=True)]

    def explain(
        self, query: str, document: str, *, prompt_name: str | None = None, prompt: str | None = None
    ) -> Alignment:
        """Show why a document has its score for a query: which token each token of the query found, and its part.

        The parts add up to the score of :meth:`maxsim`. The prompt is that of the query, as in :meth:`embed_query`. A
        text that is too long is cut, whatever ``on_truncation`` is, and the result has what was cut off.

        Raises:
            TextTypeError, TextError: a text cannot be used.
            OptionError: the model has no such prompt.
            UnsupportedModelError: the model merges vectors, so they do not belong to single tokens.
        """
        from pellucid.explain.alignment import align

        pooling = self._stage(TokenPoolingSpec)
        if pooling is not None and pooling.factor > 1:
            raise UnsupportedModelError(f"{self.spec.name} merges vectors, so they do not belong to single tokens.")
        check_texts([query, document])
        (query_text, query_vectors), (document_text, document_vectors) = (
            self._aligned("query", query, choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt)),
            self._aligned("document", document, self.document_prompt),
        )
        return align(self.encoder, query_text, document_text, query_vectors, document_vectors)

    def explain_text(self, text: str, *, prompt_name: str | None = None, prompt: str | None = None) -> AlignedText:
        """Show which tokens of a document get a vector, and which are skipped. Nothing is computed.

        The errors are those of :meth:`explain`.
        """
        check_texts([text])
        return self.read_as("document", text, choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt))

    # From texts to vectors. The server has a queue between these steps.

    def tokenizer_of(self, side: AnySide) -> Tokenizer:
        """The tokenizer for texts of this kind."""
        return self._tokenizers[side]

    def fill_up(self, tokens: TokenBatch, side: AnySide) -> TokenBatch:
        """Fill up texts with tokens, if they are queries and the model does that."""
        return self._tokenizers.fill_up(tokens, side)

    def finish(self, side: AnySide) -> EachToken:
        """Turns token vectors into the vectors of texts of this kind, to pass to ``encoder.run``."""
        pooling = self._stage(TokenPoolingSpec)
        if pooling is not None and _task_of(side) in pooling.sides:
            merge = TokenPooling(pooling.factor, pooling.protected, pooling.normalize)
            return EachToken(self._modules, self._mask(side), merge)
        return EachToken(self._modules, self._mask(side))

    def _reading(self, side: Side, prompt: str) -> Reading:
        if side == "query" and self._fills_up_queries:
            raise UnsupportedModelError(
                f"{self.spec.name} fills up queries with tokens of its own, so they cannot share a pass. Use "
                f"embed_queries."
            )
        return Reading(prompt, self._tokenizers[side], self.finish(side))

    def _mask(self, side: AnySide) -> TokenMask:
        """Which tokens of a text have a vector."""
        spec = self._stage(TokenMaskSpec)
        if spec is None:
            return TokenMask(attended=True)  # Without a mask, what the query's tokens do not look at does not count.
        words = spec.skipped if _task_of(side) in spec.sides else ()
        skipped = {number for word in words if (number := self.tokenizer.token_id(word)) is not None}
        return TokenMask(tuple(sorted(skipped)), None if side == "query" else spec.only, spec.first)

    def _stage(self, kind: type[_Stage]) -> _Stage | None:
        """The model's stage of this kind, if it has one."""
        return next((stage for stage in self._stages if isinstance(stage, kind)), None)

    def _call(self, side: AnySide, prompt: str) -> _SideCall:
        codec = MultiVectorCodec(self.dimensions)
        return _SideCall(prompt, self.finish(side), codec, {"side": side}, side=side)

    def _most_tokens(self, call: Call[Any]) -> int:
        return self._tokenizers.max_tokens(cast("_SideCall", call).side)

    def _tokenize_now(self, texts: list[Any], call: Call[Any], first: int) -> tuple[TokenBatch, Int32]:
        """Tokenize texts, and fill up queries. The counts are those before that."""
        return self._tokenizers.tokenize(texts, call.prompt, cast("_SideCall", call).side, first=first)

    def _aligned(self, side: AnySide, text: str, prompt: str) -> tuple[AlignedText, Float32]:
        """A text with its tokens, and the vectors of those that have one."""
        tokens, _ = self.tokenize([text], prompt, side=side)
        return self._read(tokens, side, text, prompt), self.embed_tokens(tokens, side=side).vectors

    def _read(self, tokens: TokenBatch, side: AnySide, text: str, prompt: str) -> AlignedText:
        from pellucid.explain.alignment import AlignedText

        seen = self._tokenizers[side].inspect(text, prompt)
        filling = self._tokenizers.filling(len(tokens.ids) - len(seen.tokens), len(prompt + text))
        kept = self._mask(side).kept(tokens)
        return AlignedText(
            prompt=prompt,
            text=text,
            tokens=tuple(itertools.compress([*seen.tokens, *filling], kept)),
            skipped=tuple(itertools.compress([*seen.tokens, *filling], ~kept)),
            cut=seen.cut,
            expansion=int(kept[len(seen.tokens) :].sum()),
        )

    def _check_expansion(self, expansion: ExpansionSpec) -> None:
        """Refuse a model whose queries have tokens that the others do not look at, if the engine cannot do that."""
        can = self.engine.reads_attended and self.spec.encoder.disentangled is None
        if expansion.attend or can:
            return
        raise UnsupportedModelError(
            f"{self.spec.name} fills up queries with tokens that the others do not look at. "
            + (
                "With relative positions as in DeBERTa, this is not supported."
                if self.spec.encoder.disentangled is not None
                else f"engine={self.engine.name!r} cannot do that. Use engine='native' or 'reference'."
            )
        )


def _task_of(side: AnySide) -> str:
    """What sentence-transformers calls the task. A text of neither kind counts as a document."""
    return "query" if side == "query" else "document"
