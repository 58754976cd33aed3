"""Embedder: text to vectors. The file to read first.

::

    name ─ sources ─▶ ModelFiles ─ model ─▶ ModelSpec ─┐
                                                        ├▶ Embedder
    text ─ tokenizer ─▶ TokenBatch ─ batching ─ engine ─▶ token vectors ─ pooling ─▶ vectors ─ head ─▶ vectors

Importing this touches nothing. Constructing an :class:`Embedder` finds the model's files, fetching them only if no
copy is on disk, and loads them. Arithmetic happens only in the ``embed_*`` methods, and they touch no network.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pellucid import batching, chunking, head
from pellucid.chunking import Kind, LongText
from pellucid.engines import base as engines
from pellucid.errors import OptionError, TextTypeError, TruncationError, TruncationWarning
from pellucid.model.load import load_spec, load_weights
from pellucid.sources.resolve import resolve
from pellucid.tokenizer import Tokenizer, check_texts
from pellucid.truncation import Truncation
from pellucid.types import Float32, Int32, TokenBatch

if TYPE_CHECKING:
    from pellucid.cache import Cache, Space
    from pellucid.engines.reference import ReferenceEngine
    from pellucid.explain.compare import Comparison
    from pellucid.explain.trace import Trace

Dtype = Literal["float32", "int16", "int8", "float16", "bfloat16"]
EngineName = Literal["auto", "native", "reference", "torch"]
OnTruncation = Literal["warn", "error", "ignore"]
OutputDtype = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]

_QUERY_PROMPTS = ("query",)
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_TEXTS_PER_WINDOW = 2048
"""How many texts of a stream are held at a time: enough to sort by length, few enough to bound the memory."""


@dataclass(frozen=True)
class _Request:
    """The options of one call, judged before any work."""

    prompt: str
    normalize: bool | None
    truncate_dim: int | None
    output_dtype: str


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
        cache: a file, or a :class:`~pellucid.cache.Cache`, in which vectors are kept, and looked for before they are
            computed; None for none.
        on_truncation: what to do with texts longer than ``max_tokens``: cut them and say so once a call
            (``"warn"``), raise before any arithmetic (``"error"``), or cut them in silence (``"ignore"``).

    Attributes:
        files: :class:`~pellucid.sources.files.ModelFiles`: where the files are and where they came from.
        spec: :class:`~pellucid.model.spec.ModelSpec`: everything that the model's JSON files say.
        tokenizer: :class:`~pellucid.tokenizer.Tokenizer`: cuts texts into tokens.
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
        on_truncation: OnTruncation = "warn",
    ) -> None:
        engines.check_options(engine, dtype=dtype, device=device, threads=threads)
        _check_choice("on_truncation", on_truncation, get_args(OnTruncation))
        self.on_truncation: OnTruncation = on_truncation
        self.cache = _opened_cache(cache)
        self.files = resolve(
            model_name,
            revision=revision,
            cache_folder=cache_folder,
            local_files_only=local_files_only,
            token=token,
        )
        self.spec = load_spec(self.files)
        self.tokenizer = Tokenizer(self.files, self.spec.tokenizer, self.spec.encoder)
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
        return self._prompt(_DOCUMENT_PROMPTS, None, None)

    def prompt_named(self, prompt_name: str | None) -> str:
        """What is put before each document under this ``prompt_name``; None is :attr:`document_prompt`.

        Raises:
            OptionError: the model has no such prompt.
        """
        return self._prompt(_DOCUMENT_PROMPTS, None, prompt_name)

    @property
    def max_tokens(self) -> int:
        """The longest text, in tokens, special tokens included; longer ones are truncated."""
        return self.spec.tokenizer.max_tokens

    def __repr__(self) -> str:
        return f"Embedder({self.model_name!r}, dimensions={self.dimensions}, engine={self.engine.name!r})"

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
        request = self._request(
            _DOCUMENT_PROMPTS,
            prompt=prompt,
            prompt_name=prompt_name,
            normalize=normalize,
            truncate_dim=truncate_dim,
            output_dtype=output_dtype,
        )
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
        request = self._request(
            _QUERY_PROMPTS,
            prompt=prompt,
            prompt_name=prompt_name,
            normalize=normalize,
            truncate_dim=truncate_dim,
            output_dtype=output_dtype,
        )
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
        if isinstance(texts, (str, bytes)) or not isinstance(texts, Iterable):
            raise TextTypeError(f"texts is of type {type(texts).__name__}; embed_stream takes an iterable of str.")
        if output_dtype in ("int8", "uint8"):
            raise OptionError(f"output_dtype={output_dtype!r} needs the ranges of all vectors, which a stream has not.")
        request = self._request(
            _DOCUMENT_PROMPTS,
            prompt=prompt,
            prompt_name=prompt_name,
            normalize=normalize,
            truncate_dim=truncate_dim,
            output_dtype=output_dtype,
        )
        return self._stream(iter(texts), request)

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
            :class:`~pellucid.chunking.LongText`: the passages, their vectors, and the mean weighted by tokens.

        Raises:
            TextTypeError, TextError, OptionError: as :meth:`embed_documents`.
        """
        check_texts([text])
        before = self._prompt(_DOCUMENT_PROMPTS, prompt, prompt_name)
        found = tuple(chunking.spans(text, self.tokenizer, overlap=overlap, kind=kind, prompt=before))
        if not found:  # Nothing but spaces is a text too.
            found = (chunking.Span(0, len(text), int(self.tokenizer.tokenize([text], before)[1][0])),)
        passages = [text[span.start : span.end] for span in found]
        vectors = self.embed_documents(passages, prompt=before, normalize=normalize)
        weights = np.array([span.tokens for span in found], dtype=np.float32)
        mean: Float32 = weights @ vectors / max(weights.sum(), np.float32(1))  # A text may have no tokens at all.
        if normalize or (normalize is None and self.spec.unit_length):
            mean = head.normalize(mean[None])[0]
        return chunking.LongText(found, vectors, mean)

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
            InputError: the arrays are no batch, an id is out of range, or a text has more than ``max_tokens``.
        """
        tokens.check(self.spec.encoder.vocab_size, self.max_tokens)
        return self._embedded(tokens, prompt_tokens, normalize, truncate_dim, advance)

    def _embedded(
        self,
        tokens: TokenBatch,
        prompt_tokens: int,
        normalize: bool | None,
        truncate_dim: int | None,
        advance: Callable[[int], object],
    ) -> Float32:
        """:meth:`embed_tokens`, of tokens that are the tokenizer's own and need no judging."""
        vectors = np.empty((len(tokens), truncate_dim or self.dimensions), dtype=np.float32)
        for indices in batching.plan(tokens.lengths, getattr(self.engine, "tokens_per_call", batching.TOKENS_PER_CALL)):
            batch = tokens.select(indices)
            pooled = engines.encode_pooled(self.engine, batch, self.spec.pooling, prompt_tokens)
            vectors[indices] = head.finish(pooled, self.spec.head, normalize, truncate_dim)
            advance(len(indices))
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> Int32:
        """How many tokens each text has, special tokens included, before truncation: ``int32[n]``."""
        return self.tokenizer.tokenize(as_list(texts))[1]

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

        return trace(self, self._reference, text, self._prompt(_QUERY_PROMPTS, prompt, prompt_name))

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
            :class:`~pellucid.explain.compare.Comparison`.
        """
        from pellucid.explain.compare import compare
        from pellucid.explain.trace import trace

        prompts = [self._prompt(own, prompt, prompt_name) for own in (_QUERY_PROMPTS, _DOCUMENT_PROMPTS)]
        first, second = (
            trace(self, self._reference, text, its) for text, its in zip((text_a, text_b), prompts, strict=True)
        )
        return compare(self, first, second)

    @functools.cached_property
    def _reference(self) -> ReferenceEngine:
        """The engine that can be looked into; it maps the model's file once more, when it is first asked for."""
        from pellucid.engines.reference import ReferenceEngine

        if isinstance(self.engine, ReferenceEngine):
            return self.engine
        return ReferenceEngine(self.spec.encoder, load_weights(self.files, self.spec))

    def _stream(self, texts: Iterator[str], request: _Request) -> Iterator[npt.NDArray[Any]]:
        total = Truncation()
        try:
            while window := list(itertools.islice(texts, _TEXTS_PER_WINDOW)):
                vectors, truncation = self._vectors(window, request, first=total.texts)
                total += truncation
                yield head.to_dtype(vectors, request.output_dtype)
        finally:
            self._tell(total)

    def _vectors(
        self, texts: list[str], request: _Request, *, first: int = 0, show_progress: bool = False
    ) -> tuple[Float32, Truncation]:
        """The way of the data: texts to ``float32[n, d]``, and what was cut off."""
        head.check_ranges(len(texts), request.output_dtype)
        with _progress(len(texts), show=show_progress) as advance:
            if self.cache is None:
                return self._computed(texts, request, first, advance)
            return self._remembered(self.cache, texts, request, first, advance)

    def _computed(
        self, texts: list[str], request: _Request, first: int, advance: Callable[[int], object]
    ) -> tuple[Float32, Truncation]:
        tokens, counts = self.tokenizer.tokenize(texts, request.prompt, first=first)
        truncation = self._judged(counts, first)
        return self._finished(tokens, request, advance), truncation

    def _remembered(
        self, cache: Cache, texts: list[str], request: _Request, first: int, advance: Callable[[int], object]
    ) -> tuple[Float32, Truncation]:
        """:meth:`_computed`, but only of texts that the cache has no vector for."""
        check_texts(texts, first=first)
        keys = self._space(request).keys(texts)
        text_of = dict(zip(keys, texts, strict=True))  # Equal texts once.
        found = cache.get(list(text_of), request.truncate_dim or self.dimensions)
        new = {key: text for key, text in text_of.items() if key not in found.rows}
        tokens, new_counts = self.tokenizer.tokenize(list(new.values()), request.prompt)
        rows = found.rows | {key: len(found.rows) + row for row, key in enumerate(new)}
        order = [rows[key] for key in keys]
        truncation = self._judged(np.concatenate([found.tokens, new_counts])[order], first)
        advance(len(texts) - len(new))
        computed = self._finished(tokens, request, advance)
        if new:
            cache.put(list(new), computed, new_counts.tolist())
        return np.concatenate([found.vectors, computed])[order], truncation

    def _judged(self, counts: Int32, first: int) -> Truncation:
        """What is to be cut off texts of ``counts`` tokens, unless that is an error."""
        truncation = Truncation.of(counts, self.max_tokens)
        if truncation.cut and self.on_truncation == "error":
            raise TruncationError(
                f"{(Truncation(texts=first) + truncation).describe(self.max_tokens)}. Split them, or take "
                f"on_truncation='warn' or 'ignore' to cut them."
            )
        return truncation

    def _finished(self, tokens: TokenBatch, request: _Request, advance: Callable[[int], object]) -> Float32:
        prompt_tokens = self.tokenizer.prompt_tokens(request.prompt)
        return self._embedded(tokens, prompt_tokens, request.normalize, request.truncate_dim, advance)

    def _space(self, request: _Request) -> Space:
        from pellucid.cache import Space

        dtype = getattr(self.engine, "dtype", "float32")
        device = getattr(self.engine, "device", "cpu")
        engine = self.engine.name if device == "cpu" else f"{self.engine.name} on {device}"
        return Space(self._digest, engine, dtype, request.prompt, request.normalize, request.truncate_dim)

    @functools.cached_property
    def _digest(self) -> str:
        """Of the model's files; reading them all takes a moment, once."""
        return self.files.digest()

    def _request(
        self,
        own_prompts: Sequence[str],
        *,
        prompt: str | None,
        prompt_name: str | None,
        normalize: bool | None,
        truncate_dim: int | None,
        output_dtype: str,
    ) -> _Request:
        """Judge the options; ``own_prompts`` are the names to look for if no prompt is given."""
        _check_choice("output_dtype", output_dtype, head.OUTPUT_DTYPES)
        _check_choice("normalize", normalize, (None, True, False))
        if truncate_dim is not None and (
            isinstance(truncate_dim, bool)
            or not isinstance(truncate_dim, (int, np.integer))
            or not 1 <= truncate_dim <= self.dimensions
        ):
            raise OptionError(f"truncate_dim={truncate_dim!r} must be a whole number from 1 to {self.dimensions}.")
        return _Request(self._prompt(own_prompts, prompt, prompt_name), normalize, truncate_dim, output_dtype)

    def _prompt(self, names: Sequence[str], prompt: str | None, prompt_name: str | None) -> str:
        """The prompt to use: the given one, the named one, or the first of ``names`` that the model defines."""
        prompts = self.spec.prompts
        if prompt is not None:
            if prompt_name is not None:
                raise OptionError("give a prompt or a prompt_name, not both.")
            if not isinstance(prompt, str):
                raise OptionError(f"prompt is of type {type(prompt).__name__}; it must be a str.")
            return prompt
        if prompt_name is not None:
            if not isinstance(prompt_name, str) or prompt_name not in prompts:
                has = f"its prompts are {', '.join(map(repr, prompts))}" if prompts else "it has no prompts"
                raise OptionError(f"{self.model_name} has no prompt {prompt_name!r}: {has}.")
            return prompts[prompt_name]
        return next((prompts[name] for name in names if name in prompts), "")

    def _tell(self, truncation: Truncation) -> None:
        if truncation.cut and self.on_truncation == "warn":
            message = f"{truncation.describe(self.max_tokens)} and had no part in the vectors."
            warnings.warn(message, TruncationWarning, stacklevel=3)


def as_list(texts: Iterable[str]) -> list[str]:
    """The texts as a list; refuses what would be taken apart into letters, keys or an order of chance."""
    if isinstance(texts, (str, bytes, bytearray, Mapping, Set)) or not isinstance(texts, Iterable):
        hint = " For one text, use embed_query, or a list with one text." if isinstance(texts, str) else ""
        raise TextTypeError(f"texts is of type {type(texts).__name__}; it must be a list of str.{hint}")
    try:
        return list(texts)
    except TypeError as error:  # An array without dimensions says that it can be iterated over, and cannot.
        raise TextTypeError(f"texts cannot be taken apart into texts: {error}.") from error


def _check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    if not any(value is choice or (value == choice and isinstance(value, str)) for choice in choices):
        raise OptionError(f"{option}={value!r} is not one of {', '.join(map(repr, choices))}.")


def _opened_cache(cache: str | os.PathLike[str] | Cache | None) -> Cache | None:
    if cache is None:
        return None
    from pellucid.cache import Cache

    if isinstance(cache, Cache):
        return cache
    if not isinstance(cache, (str, os.PathLike)):
        raise OptionError(f"cache is of type {type(cache).__name__}; it must be a path, a Cache or None.")
    return Cache(cache)


@contextlib.contextmanager
def _progress(total: int, *, show: bool) -> Iterator[Callable[[int], object]]:
    """A progress bar on standard error, drawn only if asked for and only on a terminal; gives what advances it."""
    if not show:
        yield lambda _: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=total, unit="text", desc="Embedding", disable=None) as bar:
        yield bar.update
