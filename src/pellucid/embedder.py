"""A dense vector for each text. This is the task to imitate: its prompt, its finish, and the type of its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy.typing as npt

from pellucid.checks import check_choice, check_whole
from pellucid.encoder.encoder import Dtype, Encoder, EngineName
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS, choose_prompt
from pellucid.errors import OptionError, TextTypeError
from pellucid.layers.finish import Pool
from pellucid.layers.quantization import OUTPUT_DTYPES, check_ranges, to_dtype
from pellucid.task import Call, Task
from pellucid.text import chunking
from pellucid.text.checks import as_iterator, as_list, check_texts
from pellucid.text.chunking import Kind, LongText
from pellucid.text.truncation import OnTruncation
from pellucid.types import Float32, Int32, TokenBatch, check_tokens

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.explain.comparison import Comparison
    from pellucid.explain.trace import Trace

OutputDtype = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
_ANY_LENGTH = 1 << 31


class Embedder(Task):
    """A sentence-transformers model that gives each text a vector.

    Args:
        model_name: a Hub name (``"sentence-transformers/all-MiniLM-L6-v2"``), a short name of that organisation's
            models (``"all-MiniLM-L6-v2"``), a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several
            tasks share. Its documentation has the options that are not explained here.
        cache: a file, or a :class:`~pellucid.cache.store.Cache`, in which vectors are kept, and looked for before they
            are computed; None for none.
        on_truncation: what to do with texts longer than ``max_tokens``: cut them and say so once a call
            (``"warn"``), raise before any arithmetic (``"error"``), or cut them in silence (``"ignore"``).

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
        options = {
            "dtype": dtype,
            "engine": engine,
            "device": device,
            "threads": threads,
            "revision": revision,
            "cache_folder": cache_folder,
            "local_files_only": local_files_only,
            "token": token,
            "max_tokens": max_tokens,
        }
        super().__init__(model_name, options, cache, on_truncation)
        self.spec.pooling  # noqa: B018  Refuses a model that does not pool.

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
        return choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, None)

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
        check_choice("output_dtype", output_dtype, OUTPUT_DTYPES)
        call = self._call(DOCUMENT_PROMPTS, prompt_name, prompt, normalize, truncate_dim)
        texts = as_list(texts)
        check_ranges(len(texts), output_dtype)
        vectors, truncation = self._run(texts, call, show_progress=show_progress)
        self._warn(truncation)
        return to_dtype(vectors, output_dtype)

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
        check_choice("output_dtype", output_dtype, OUTPUT_DTYPES)
        check_ranges(1, output_dtype)
        call = self._call(QUERY_PROMPTS, prompt_name, prompt, normalize, truncate_dim)
        vectors, truncation = self._run([text], call)
        self._warn(truncation)
        vector: npt.NDArray[Any] = to_dtype(vectors, output_dtype)[0]
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
        check_choice("output_dtype", output_dtype, OUTPUT_DTYPES)
        call = self._call(DOCUMENT_PROMPTS, prompt_name, prompt, normalize, truncate_dim)
        windows = self._run_windows(as_iterator(texts), call)
        return (to_dtype(vectors, output_dtype) for vectors in windows)

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
        prompt = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        spans = chunking.passages(text, self.tokenizer, overlap=overlap, kind=kind, prompt=prompt)
        passages = [text[span.start : span.end] for span in spans]
        vectors = self.embed_documents(passages, prompt=prompt, normalize=normalize)
        return chunking.joined(spans, vectors, unit_length=self.spec.unit_length if normalize is None else normalize)

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
        finish = self.finish(prompt_tokens, normalize, truncate_dim)
        check_tokens(tokens, self.spec.encoder.vocab_size, self.max_tokens)
        vectors = self.encoder.run(tokens, finish, advance=advance)
        finish.check(vectors, lambda row: row)
        return vectors

    def finish(self, prompt_tokens: int = 0, normalize: bool | None = None, truncate_dim: int | None = None) -> Pool:
        """What makes a vector of a text's token vectors: for :meth:`pellucid.encoder.encoder.Encoder.run`.

        The arguments and errors are those of :meth:`embed_tokens`.
        """
        check_choice("normalize", normalize, (None, True, False))
        if truncate_dim is not None:
            most = self.dimensions
            truncate_dim = check_whole("truncate_dim", truncate_dim, 1, most, f"from 1 to {most}")
        prompt_tokens = check_whole("prompt_tokens", prompt_tokens, 0, _ANY_LENGTH, "of at least 0")
        if self.spec.pooling.include_prompt:
            prompt_tokens = 0  # So that texts with different prompts have equal finishes, and are pooled together.
        return Pool(self.spec.pooling, self.encoder.modules, prompt_tokens, normalize, truncate_dim)

    def _call(
        self,
        own_prompts: Sequence[str],
        prompt_name: str | None,
        prompt: str | None,
        normalize: bool | None,
        truncate_dim: int | None,
    ) -> Call[Float32]:
        prompt = choose_prompt(self.spec, own_prompts, prompt_name, prompt)
        finish = self.finish(self.tokenizer.prompt_tokens(prompt), normalize, truncate_dim)
        options = {"normalize": normalize, "truncate_dim": finish.truncate_dim}
        return Call(prompt, finish, finish.truncate_dim or self.dimensions, options)

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

        return trace(self.encoder, text, choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt))

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

        first = choose_prompt(self.spec, QUERY_PROMPTS, prompt_name, prompt)
        second = choose_prompt(self.spec, DOCUMENT_PROMPTS, prompt_name, prompt)
        return compare(self.encoder, (text_a, first), (text_b, second))
