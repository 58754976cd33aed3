"""Embedder: text to vectors. The file to read first.

::

    name ─ sources ─▶ ModelFiles ─ model ─▶ ModelSpec ─┐
                                                        ├▶ Embedder
    text ─ tokenizer ─▶ TokenBatch ─ batching ─ engine ─▶ token vectors ─ pooling ─▶ vectors ─ head ─▶ vectors

Importing this touches nothing. Constructing an :class:`Embedder` finds the model's files, fetching them only if no
copy is on disk, and loads them. Arithmetic happens only in the ``embed_*`` methods, and they touch no network.
"""

from __future__ import annotations

import functools
import itertools
import operator
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pellucid.cache.lookup import opened, recall, space_of
from pellucid.encoder import batching
from pellucid.encoder.options import (
    DOCUMENT_PROMPTS,
    QUERY_PROMPTS,
    Request,
    check_choice,
    check_dimensions,
    check_whole,
    judged,
    prompt_of,
)
from pellucid.engines import base as engines
from pellucid.errors import ModelError, OptionError, TextTypeError, TruncationWarning
from pellucid.files.progress import progress
from pellucid.layers import head
from pellucid.model.load import load_spec, load_weights
from pellucid.sources.resolve import resolve
from pellucid.text import chunking
from pellucid.text.checks import as_iterator, as_list, check_texts
from pellucid.text.chunking import Kind, LongText
from pellucid.text.tokenizer import Tokenizer
from pellucid.text.truncation import OnTruncation, Truncation, cut_from
from pellucid.types import Float32, Int32, TokenBatch, check_tokens

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.engines.reference import ReferenceEngine
    from pellucid.explain.comparison import Comparison
    from pellucid.explain.trace import Trace

Dtype = Literal["float32", "int16", "int8", "float16", "bfloat16"]
EngineName = Literal["auto", "native", "reference", "torch"]
OutputDtype = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]

_ATTRIBUTES = frozenset({"cache", "engine", "files", "on_truncation", "spec", "tokenizer"})
_ANY_LENGTH = 1 << 31
_TEXTS_AHEAD = 16_384
"""How many texts are tokenized while a GPU is at those before."""
_TEXTS_PER_WINDOW = 2048
"""How many texts of a stream are held at a time: enough to sort by length, few enough to bound the memory."""


class Embedder:
    """A sentence-transformers model, loaded and ready.

    Args:
        model_name: a Hub name (``"sentence-transformers/all-MiniLM-L6-v2"``), a short name of that organisation's
            models (``"all-MiniLM-L6-v2"``), or a folder.
        dtype: the arithmetic: ``"float32"`` is exact; ``"int16"`` is near-lossless, with every cosine to float32 above
            0.9999; ``"int8"`` is the fastest and smallest, with cosines above 0.99 on ordinary text (docs/models.md).
            ``"float16"`` and ``"bfloat16"`` are PyTorch's, for GPUs.
        engine: what does the arithmetic; ``"auto"`` takes the fastest that serves the model and the other options:
            ``"native"``, or ``"torch"`` for a GPU, and for an architecture that only transformers knows.
        device: ``"cpu"``; or with the ``torch`` extra as PyTorch names them, ``"cuda"``, ``"cuda:1"``, ``"mps"``. A GPU
            is used only when asked for.
        threads: how many threads to work with; None takes as many as there are usable processors.
        revision: a branch, tag or commit of the Hub's copy.
        cache_folder: instead of the Hugging Face cache's usual place.
        local_files_only: never use the network; ``HF_HUB_OFFLINE=1`` does the same.
        token: for private models, as huggingface_hub takes it; None uses ``HF_TOKEN`` or the saved login.
        cache: a file, or a :class:`~pellucid.cache.store.Cache`, in which vectors are kept, and looked for before they
            are computed; None for none.
        max_tokens: read no more of a text than so many tokens, special tokens included; None for all that the model
            reads, which is also the most.
        on_truncation: what to do with texts longer than ``max_tokens``: cut them and say so once a call
            (``"warn"``), raise before any arithmetic (``"error"``), or cut them in silence (``"ignore"``).

    Attributes:
        files: :class:`~pellucid.sources.files.ModelFiles`: where the files are and where they came from.
        spec: :class:`~pellucid.model.spec.ModelSpec`: everything that the model's JSON files say.
        tokenizer: :class:`~pellucid.text.tokenizer.Tokenizer`: cuts texts into tokens.
        engine: the engine at work; ``engine.name`` says which.

    Raises:
        OptionError: an option's value cannot be served.
        CacheError: the file of ``cache`` cannot be used.
        ModelError: no such model, a failed download, or files that are broken or unsupported.

    An Embedder may be used from several threads at once.

    >>> e = Embedder("all-MiniLM-L6-v2")                                  # doctest: +SKIP
    >>> e.embed_documents(["The cat sat on the mat", "Dogs bark"]).shape  # doctest: +SKIP
    (2, 384)
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str],
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
        self._again = functools.partial(
            type(self),
            model_name,
            dtype=dtype,
            engine=engine,
            device=device,
            threads=threads,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=local_files_only,
            max_tokens=max_tokens,
        )
        if max_tokens is not None:
            check_whole("max_tokens", max_tokens, 1, _ANY_LENGTH, "of at least 1, or None for what the model reads")
        engines.check_options(engine, dtype=dtype, device=device, threads=threads)
        check_choice("on_truncation", on_truncation, get_args(OnTruncation))
        self.on_truncation: OnTruncation = on_truncation
        self.cache = opened(cache)
        self.files = resolve(
            model_name, revision=revision, cache_folder=cache_folder, local_files_only=local_files_only, token=token
        )
        self.spec = load_spec(self.files)
        self.tokenizer = Tokenizer(self.files, self.spec.tokenizer, self.spec.encoder)
        self._longest = self.spec.tokenizer.max_tokens
        if max_tokens is not None:
            self.tokenizer.limit(max_tokens)
            self.spec = replace(self.spec, tokenizer=self.tokenizer.spec)
        self.engine = engines.create(
            engine,
            self.spec.encoder,
            lambda: load_weights(self.files, self.spec),
            self.files.path(self.spec.encoder_folder),
            dtype=dtype,
            device=device,
            threads=threads,
        )

    @property
    def model_name(self) -> str:
        """The model's full name, or the folder as it was given."""
        return self.spec.name

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self.spec.dimensions

    @property
    def document_prompt(self) -> str:
        """What is put before each document unless something else is asked for; "" if the model has no such prompt."""
        return self.prompt_named(None)

    def prompt_named(self, prompt_name: str | None) -> str:
        """What is put before each document under this ``prompt_name``; None is :attr:`document_prompt`.

        Raises:
            OptionError: the model has no such prompt.
        """
        return prompt_of(self.spec, DOCUMENT_PROMPTS, prompt_name, None)

    @property
    def max_tokens(self) -> int:
        """The longest text, in tokens, special tokens included; longer ones are truncated."""
        return self.spec.tokenizer.max_tokens

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute that an Embedder has. Any other is a mistake, and would have no effect.

        Raises:
            OptionError: it has no such attribute, or it is settled when the Embedder is made.
        """
        if name in ("max_tokens", "max_seq_length"):
            raise OptionError(f"{name} cannot be set. Pass max_tokens= when you make the Embedder.")
        if type(self) is Embedder and not name.startswith("_") and name not in _ATTRIBUTES:
            raise OptionError(
                f"an Embedder has no attribute {name!r} that can be set. Pass what is to differ when you make it, or "
                f"when you call it."
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"Embedder({self.model_name!r}, dimensions={self.dimensions}, engine={self.engine.name!r})"

    def __reduce__(self) -> tuple[Callable[[], Embedder], tuple[()]]:
        """Pickled as what it was made with, it is loaded again where it arrives; ``token``, a secret, stays here."""
        return functools.partial(self._again, cache=self.cache, on_truncation=self.on_truncation), ()

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
        """Embed texts. The numbers of a text do not depend on the other texts of the call.

        Args:
            texts: a list of texts; ``""`` is a text.
            prompt_name: the name of one of the model's prompts (``spec.prompts``) to put before each text.
            prompt: a text to put before each text; ``""`` for none. Without either, the model's "document",
                "passage" or "corpus" prompt is used, if it has one.
            normalize: None, as the model says; True, to unit length; False, not even if the model says so.
            truncate_dim: keep only so many leading dimensions, for models that were trained for it.
            output_dtype: "float32"; "float16"; "int8" or "uint8", scaled by each dimension's range in this call;
                "binary" or "ubinary", one bit a dimension.
            show_progress: draw a progress bar, if standard error is a terminal.

        Returns:
            ``[n, d]`` in the order of ``texts``; ``[n, ceil(d / 8)]`` for the binary types.

        Raises:
            TextTypeError, TextError: a value is not a text; its position is named. Nothing has been computed.
            TruncationError: under ``on_truncation="error"``, likewise.
            OptionError: an option's value cannot be served.
        """
        request = judged(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt, normalize, truncate_dim, output_dtype)
        vectors, truncation = self._vectors(as_list(texts), request, show_progress=show_progress)
        self._tell(truncation)
        return head.to_dtype(vectors, output_dtype)

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
        """Embed one text, with the model's "query" prompt if it has one and no other is given.

        The options and errors are those of :meth:`embed_documents`.

        Returns:
            ``[d]``.
        """
        if not isinstance(text, str):
            raise TextTypeError(f"the text is of type {type(text).__name__}; embed_query takes one str.")
        request = judged(self.spec, QUERY_PROMPTS, prompt_name, prompt, normalize, truncate_dim, output_dtype)
        vectors, truncation = self._vectors([text], request)
        self._tell(truncation)
        vector: npt.NDArray[Any] = head.to_dtype(vectors, output_dtype)[0]
        return vector

    def embed_stream(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        output_dtype: OutputDtype = "float32",
    ) -> Iterator[npt.NDArray[Any]]:
        """Embed any number of texts in bounded memory.

        The options and errors are those of :meth:`embed_documents`; a position in an error counts from the start of
        the stream. int8 and uint8 need the ranges of all vectors, and are refused. What was truncated is told when
        the stream ends.

        Yields:
            ``[m, d]`` for the next m texts, in order, as soon as they are done.
        """
        if output_dtype in ("int8", "uint8"):
            raise OptionError(f"output_dtype={output_dtype!r} needs the ranges of all vectors, which a stream has not.")
        request = judged(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt, normalize, truncate_dim, output_dtype)
        return self._stream(as_iterator(texts), request)

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
        """Embed a text of any length, so that nothing of it is lost: in passages that the model reads whole.

        Args:
            text: any text; ``""`` is one passage.
            overlap: about how many tokens at the end of a passage stand at the start of the next again.
            kind: "text", "markdown" or "code": where to cut.
            prompt_name: as for :meth:`embed_documents`; put before each passage.
            prompt: likewise.
            normalize: as for :meth:`embed_documents`, for the passages and for their mean.

        Returns:
            :class:`~pellucid.text.chunking.LongText`: the passages, their vectors, and the mean weighted by tokens.

        Raises:
            TextTypeError, TextError, OptionError: as :meth:`embed_documents`.
        """
        check_texts([text])
        before = prompt_of(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        found = chunking.passages(text, self.tokenizer, overlap=overlap, kind=kind, prompt=before)
        vectors = self.embed_documents(
            [text[span.start : span.end] for span in found], prompt=before, normalize=normalize
        )
        return chunking.joined(found, vectors, unit_length=self.spec.unit_length if normalize is None else normalize)

    def embed_tokens(
        self,
        tokens: TokenBatch,
        *,
        prompt_tokens: int = 0,
        normalize: bool | None = None,
        truncate_dim: int | None = None,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Float32:
        """Embed what ``tokenizer`` made of texts: the way from token ids on, for those who tokenize elsewhere.

        Args:
            tokens: ids in ``[0, spec.encoder.vocab_size)``, at most ``max_tokens`` a text, special tokens included.
            prompt_tokens: how many at the start of each text are the prompt's (``tokenizer.prompt_tokens``), for
                models whose pooling passes over them.
            normalize: as for :meth:`embed_documents`.
            truncate_dim: likewise.
            advance: called after each part of the work with how many texts it had.

        Returns:
            ``float32[n, d]``, in order: what :meth:`embed_documents` gives for those texts, to the bit.

        Raises:
            InputError: ids, lengths or offsets that are not of this model. Nothing has been computed.
            OptionError: an option's value cannot be served.
        """
        check_choice("normalize", normalize, (None, True, False))
        check_dimensions(truncate_dim, self.dimensions)
        check_tokens(tokens, self.spec.encoder.vocab_size, self.max_tokens)
        prompt_tokens = check_whole("prompt_tokens", prompt_tokens, 0, _ANY_LENGTH, "of at least 0")
        request = Request("", normalize, truncate_dim, "float32")
        return self._computed(tokens, request, prompt_tokens, advance)

    def count_tokens(self, texts: Sequence[str]) -> Int32:
        """How many tokens each text has, special tokens included, before truncation: ``int32[n]``."""
        return self.tokenizer.count(as_list(texts))

    def trace(self, text: str, *, prompt_name: str | None = None, prompt: str | None = None) -> Trace:
        """Everything that happens to a text on its way to its vector, computed by the reference engine.

        Args:
            text: any text; what is too long for the model is cut, and the trace says so, whatever ``on_truncation``.
            prompt_name: as for :meth:`embed_query`.
            prompt: likewise.

        Returns:
            :class:`~pellucid.explain.trace.Trace`. Its vector is that of :meth:`embed_query` within 2e-6.
        """
        from pellucid.explain.trace import trace

        return trace(self, self._reference, text, prompt_of(self.spec, QUERY_PROMPTS, prompt_name, prompt))

    def compare(
        self, text_a: str, text_b: str, *, prompt_name: str | None = None, prompt: str | None = None
    ) -> Comparison:
        """Why two texts are as close as they are: what each pair of tokens adds to the cosine.

        Args:
            text_a: like a query, if the model has a prompt for queries.
            text_b: like a document, if the model has a prompt for documents.
            prompt_name: a prompt for both instead.
            prompt: likewise.

        Returns:
            :class:`~pellucid.explain.comparison.Comparison`.
        """
        from pellucid.explain.comparison import compare
        from pellucid.explain.trace import trace

        first, second = (
            trace(self, self._reference, text, prompt_of(self.spec, own, prompt_name, prompt))
            for text, own in ((text_a, QUERY_PROMPTS), (text_b, DOCUMENT_PROMPTS))
        )
        return compare(self, first, second)

    @functools.cached_property
    def _reference(self) -> ReferenceEngine:
        """The engine that can be looked into; it maps the model's file once more, when it is first asked for."""
        from pellucid.engines.reference import ReferenceEngine

        if isinstance(self.engine, ReferenceEngine):
            return self.engine
        try:
            return ReferenceEngine(self.spec.encoder, load_weights(self.files, self.spec))
        except OSError as error:
            raise ModelError(
                f"{self.model_name}: the weights cannot be read again to look into them: {error.strerror}. "
                f"Where too many files are open, close some, or raise the limit (ulimit -n)."
            ) from error

    def _stream(self, texts: Iterator[str], request: Request) -> Iterator[npt.NDArray[Any]]:
        total = Truncation()
        try:
            while window := list(itertools.islice(texts, _TEXTS_PER_WINDOW)):
                vectors, truncation = self._vectors(window, request, first=total.texts)
                total += truncation
                yield head.to_dtype(vectors, request.output_dtype)
        finally:
            self._tell(total)

    def _vectors(
        self, texts: list[str], request: Request, *, first: int = 0, show_progress: bool = False
    ) -> tuple[Float32, Truncation]:
        """The way of the data: texts to ``float32[n, d]``, and what was cut off."""
        head.check_ranges(len(texts), request.output_dtype)
        with progress(len(texts), show=show_progress) as advance:
            if self.cache is not None:
                return self._remembered(self.cache, texts, request, first, advance)
            prompt_tokens = self.tokenizer.prompt_tokens(request.prompt)
            truncation, vectors = Truncation(), []
            for tokens, counts in self._tokenized(texts, request.prompt, first):
                truncation += cut_from(counts, self.max_tokens, self.on_truncation, first + truncation.texts)
                done = first + truncation.texts - len(tokens)
                vectors.append(
                    self._computed(
                        tokens, request, prompt_tokens, advance, position=functools.partial(operator.add, done)
                    )
                )
            return vectors[0] if len(vectors) == 1 else np.concatenate(vectors), truncation

    def _tokenized(self, texts: list[str], prompt: str, first: int) -> Iterator[tuple[TokenBatch, Int32]]:
        """The texts' tokens and counts, at once. If the engine leaves this machine's processors free, in parts, each
        made while the engine is at the one before; but what may not be cut is judged whole.
        """
        if not getattr(self.engine, "elsewhere", False) or self.on_truncation == "error":
            yield self.tokenizer.tokenize(texts, prompt, first=first)
            return
        from pellucid.files.prefetch import ahead, one_thread

        check_texts(texts, first=first)
        starts = range(0, max(1, len(texts)), _TEXTS_AHEAD)
        with one_thread() as pool:
            yield from ahead(
                pool,
                starts,
                lambda start: self.tokenizer.tokenize(texts[start : start + _TEXTS_AHEAD], prompt, first=first + start),
            )

    def _remembered(
        self, cache: Cache, texts: list[str], request: Request, first: int, advance: Callable[[int], object]
    ) -> tuple[Float32, Truncation]:
        """The same way, but only for texts that the cache has no vector for."""
        check_texts(texts, first=first)
        space = space_of(self.digest, self.engine, request)
        known = recall(cache, space, texts, request.truncate_dim or self.dimensions)
        tokens, counts = self.tokenizer.tokenize(known.new, request.prompt)
        truncation = cut_from(known.tokens(counts), self.max_tokens, self.on_truncation, first)
        advance(len(texts) - len(known.new))
        computed = self._computed(
            tokens,
            request,
            self.tokenizer.prompt_tokens(request.prompt),
            advance,
            position=lambda row: first + known.order.index(len(known.found.rows) + row),
        )
        if known.new:
            cache.put(known.keys, computed, counts.tolist())
        return known.vectors(computed), truncation

    def _computed(
        self,
        tokens: TokenBatch,
        request: Request,
        prompt_tokens: int,
        advance: Callable[[int], object],
        position: Callable[[int], int] = lambda row: row,
    ) -> Float32:
        """Tokens to vectors; ``position`` says which text of the call a row is, for messages."""
        vectors = np.empty((len(tokens), request.truncate_dim or self.dimensions), dtype=np.float32)
        for indices in batching.plan(tokens.lengths, getattr(self.engine, "tokens_per_call", batching.TOKENS_PER_CALL)):
            batch = tokens.select(indices)
            pooled = engines.encode_pooled(self.engine, batch, self.spec.pooling, prompt_tokens)
            vectors[indices] = head.finish(pooled, self.spec.head, request.normalize, request.truncate_dim)
            advance(len(indices))
        head.check_finite(vectors, position)
        return vectors

    def _tell(self, truncation: Truncation) -> None:
        if truncation.cut and self.on_truncation == "warn":
            message = f"{truncation.describe(self.max_tokens)} and had no part in the vectors."
            warnings.warn(message, TruncationWarning, stacklevel=3)

    @functools.cached_property
    def digest(self) -> str:
        """What says that a model is the same: a digest of its files, and ``max_tokens`` if you lowered it.

        All files are read for it, once, which takes a moment.
        """
        lowered = self.max_tokens < self._longest
        return self.files.digest() + (f" max_tokens={self.max_tokens}" if lowered else "")
