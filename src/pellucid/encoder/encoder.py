"""A loaded model. If you are new to this code, read this file first.

::

    name ─ sources ─▶ ModelFiles ─ model ─▶ ModelSpec ─ engines ─▶ Engine
                                                                     │
                                                                     ▼
    text ─ task (prompt) ─▶ Tokenizer ─▶ TokenBatch ─▶ Encoder.run(tokens, finish) ─▶ rows ─ task ─▶ result

An ``Encoder`` is the whole loaded model; ``spec.encoder`` describes the transformer in it.

Tasks call :meth:`Encoder.run`. It decides which texts go through the engine together, and returns the results in the
order of the texts. The server, whose queue decides that itself, calls :meth:`Encoder.run_requests`. Explanations look
into :attr:`Encoder.reference`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from pellucid.checks import check_choice, check_integer
from pellucid.encoder.batching import plan
from pellucid.encoder.together import ReadingTask, run_together
from pellucid.engines import registry
from pellucid.engines.reference import ReferenceEngine
from pellucid.engines.threads import usable_processors
from pellucid.errors import ModelError
from pellucid.layers.finish import Finish, Module
from pellucid.layers.vocabulary import VocabularyHead
from pellucid.model.load import load_head, load_spec, load_vocabulary, load_weights
from pellucid.model.modules import Route, load_modules, read_entries
from pellucid.reprs import engine_and_dtype, short_text
from pellucid.sources.resolve import resolve
from pellucid.text.model2vec import create_tokenizer
from pellucid.text.sides import Side
from pellucid.types import Int64, TokenBatch

Dtype = Literal["float32", "int16", "int8", "int4", "bfloat16", "float16", "auto"]
EngineName = Literal["auto", "native", "reference", "torch"]
Result = TypeVar("Result")

_LARGEST_TOKEN_LIMIT = 1 << 31


class Encoder:
    """A sentence-transformers model, loaded and ready for any task.

    Args:
        model_name: a Hub name (``"sentence-transformers/all-MiniLM-L6-v2"``), the short name of a model of that
            organisation (``"all-MiniLM-L6-v2"``), or a folder.
        dtype: the number type of the arithmetic. ``"float32"`` is exact. ``"int16"`` is nearly exact: each vector's
            cosine with its float32 version is above 0.9999. ``"int8"`` is the fastest; on ordinary text, that cosine is
            above 0.99. ``"int4"`` is the smallest: weights take about half the memory of ``"int8"``, and that cosine is
            above 0.95 (docs/models.md). ``"bfloat16"`` is between int16 and int8, and meant for CPUs with AMX.
            ``"float16"`` runs in PyTorch and is meant for GPUs. ``"auto"`` takes the fastest dtype whose cosines are
            above 0.9999; ``engine.dtype`` says which one that is on this machine.
        engine: the engine that does the arithmetic. ``"auto"`` takes the fastest one that supports the model and the
            other options: ``"native"``; or ``"torch"``, for a GPU and for an architecture that only transformers
            supports.
        device: ``"cpu"``; or, with the ``torch`` extra, PyTorch's name of a device: ``"cuda"``, ``"cuda:1"``,
            ``"mps"``; several GPUs, ``"cuda:0,cuda:1"``; or ``"cuda:*"`` for all. A GPU is used only if you ask for it.
        threads: the number of threads; None for all available CPU cores.
        revision: a branch, tag or commit of the model on the Hub.
        cache_folder: the folder for downloads, instead of the Hugging Face cache's usual place.
        local_files_only: never use the network. ``HF_HUB_OFFLINE=1`` does the same.
        token: the access token for private models, as huggingface_hub takes it; None for ``HF_TOKEN`` or the saved
            login.
        max_tokens: read at most this many tokens of a text, special tokens included. None for the model's own limit,
            which is often lower than what its encoder can read.
        route: for a model whose queries and documents go different ways (a Router), the way to take. Tasks load the
            other one by themselves.

    Attributes:
        files: the :class:`~pellucid.sources.files.ModelFiles`: where the files are and where they came from.
        spec: the :class:`~pellucid.model.spec.ModelSpec`: everything that the model's JSON files say.
        tokenizer: the :class:`~pellucid.text.tokenizer.Tokenizer`, which cuts texts into tokens.
        modules: the modules that follow pooling, with their weights. Each turns ``float32[B, d]`` into
            ``float32[B, d']``.
        engine: the engine in use; ``engine.name`` says which one it is.

    Raises:
        OptionError: an option has a value that cannot be used.
        ModelError: the model does not exist, its download failed, or its files are broken or unsupported.

    Several threads may use one Encoder at the same time.
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
        max_tokens: int | None = None,
        route: Route = "document",
    ) -> None:
        check_choice("route", route, get_args(Route))
        self._load_again = functools.partial(
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
            route=route,
        )
        if max_tokens is not None:
            check_integer(
                "max_tokens", max_tokens, 1, _LARGEST_TOKEN_LIMIT, "of at least 1, or None for the model's own limit"
            )
        registry.check_options(engine, dtype=dtype, device=device, threads=threads)
        self.files = resolve(
            model_name, revision=revision, cache_folder=cache_folder, local_files_only=local_files_only, token=token
        )
        self.spec = load_spec(self.files, route)
        self._route: Route = route
        self.modules = load_modules(self.files, self.spec.stages)
        self.tokenizer = create_tokenizer(
            self.files, self.spec.tokenizer, self.spec.encoder, threads or usable_processors()
        )
        self._model_max_tokens = self.spec.tokenizer.max_tokens
        if max_tokens is not None:
            self.tokenizer.limit(max_tokens)
            self.spec = replace(self.spec, tokenizer=self.tokenizer.spec)
        self.engine = registry.create(
            engine,
            self.spec.encoder,
            lambda: load_weights(self.files, self.spec),
            self.files.path(self.spec.encoder_folder),
            dtype=dtype,
            device=device,
            threads=threads,
        )

    @property
    def max_tokens(self) -> int:
        """The most tokens that are read of a text, special tokens included. Longer texts are truncated."""
        return self.spec.tokenizer.max_tokens

    @functools.cached_property
    def reads_queries_apart(self) -> bool:
        """True if the model has a Router with another way for queries than for documents."""
        return read_entries(self.files, "query") != read_entries(self.files, "document")

    @functools.cached_property
    def for_queries(self) -> Encoder:
        """The encoder of queries: this one, unless the model has a Router with another way for them."""
        if self._route == "query" or not self.reads_queries_apart:
            return self
        options = {**self._load_again.keywords, "route": "query"}
        return type(self)(self.files.folder, **options)

    @property
    def own_max_tokens(self) -> int | None:
        """:attr:`max_tokens` if you changed it; None if it is the model's own."""
        return self.max_tokens if self.max_tokens != self._model_max_tokens else None

    def __repr__(self) -> str:
        return f"Encoder({short_text(self.spec.name, 60)}, {engine_and_dtype(self.engine)})"

    def __reduce__(self) -> tuple[Callable[[], Encoder], tuple[()]]:
        """Pickle the arguments, not the model: it is loaded again where it is unpickled.

        The ``token`` is a secret and is left out.
        """
        return self._load_again, ()

    def run(
        self, tokens: TokenBatch, finish: Finish[Result], *, advance: Callable[[int], object] = lambda _texts: None
    ) -> Result:
        """Run texts through the model.

        Args:
            tokens: the texts. Ids are in ``[0, spec.encoder.vocab_size)``; a text has at most ``max_tokens`` tokens,
                special tokens included.
            finish: turns each text's token vectors into its result.
            advance: called after each engine call with the number of texts in that call, for progress bars.

        Returns:
            What ``finish`` makes of the texts, in their order. A text's result depends on that text alone.
        """
        if not len(tokens):
            return finish(np.empty((0, self.spec.encoder.hidden_size), dtype=np.float32), tokens)

        def parts() -> Iterator[tuple[Int64, Result]]:
            for indices in plan(tokens.lengths, self.engine.tokens_per_call, sort=self.engine.sorts_texts):
                result = self.engine.run(tokens.select(indices), finish)
                advance(len(indices))  # Before the yield: a finish may stop reading once it has all texts.
                yield indices, result

        return finish.merge(parts(), len(tokens))

    def run_requests(self, requests: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """Run several requests in one engine call, for the server.

        Args:
            requests: the texts of each request, and the finish that makes their results. All requests together have at
                most ``engine.tokens_per_call`` tokens, or are one longer text.

        Returns:
            The result of each request.
        """
        return self.engine.run_each(requests)

    def together(
        self,
        texts: Sequence[str],
        tasks: Sequence[ReadingTask],
        *,
        side: Side = "document",
        show_progress: bool = False,
    ) -> tuple[Any, ...]:
        """Compute what several tasks make of the same texts, in one pass through the encoder.

        ``bge.together(texts, [Embedder(bge), SparseEmbedder(bge)])`` gives ``float32[n, d]`` and sparse vectors. They
        have the same bits as what ``embed_documents`` of each task gives. No cache is read or filled.

        Args:
            texts: the texts.
            tasks: tasks that were created with this encoder, and that read the same tokens of a text.
            side: "document", or "query" to read the texts as queries.
            show_progress: draw a progress bar, on a terminal or in a notebook.

        Returns:
            The result of each task, in the order of ``tasks``.

        Raises:
            TextTypeError, TextError: a text cannot be used; its position is given. Nothing was computed.
            TruncationError: a text is too long, and a task has ``on_truncation="error"``. Nothing was computed.
            OptionError: a task has another encoder, gives no vectors, or does not read the same tokens as the others.
            UnsupportedModelError: the model reads queries in a way of their own, so they cannot share a pass.
        """
        return run_together(self, texts, tasks, side, show_progress=show_progress)

    @functools.cached_property
    def head(self) -> tuple[Module, ...]:
        """The modules of the head of a model that scores or classifies; the last one gives the logits. Else empty.

        They are loaded at their first use, because a model that gives vectors may say that it has a head, and have no
        weights for it.

        Raises:
            ModelError: the weights could not be read.
        """
        return load_head(self.files, self.spec, self.tokenizer.token_id)

    @functools.cached_property
    def vocabulary(self) -> VocabularyHead | None:
        """The head of a masked language model, which gives tokens a score for each token of the vocabulary.

        None for a model that has no such head. It is loaded at its first use.

        Raises:
            ModelError: the weights could not be read.
        """
        return load_vocabulary(self.files, self.spec)

    @functools.cached_property
    def reference(self) -> ReferenceEngine:
        """The reference engine, which shows every step of the arithmetic.

        It is created on first use, which memory-maps the weights again, unless the engine in use is the reference
        engine.

        Raises:
            ModelError: the weights could not be read.
        """
        if isinstance(self.engine, ReferenceEngine):
            return self.engine
        try:
            return ReferenceEngine(self.spec.encoder, load_weights(self.files, self.spec))
        except OSError as error:
            raise ModelError(
                f"{self.spec.name}: the reference engine could not read the weights: {error.strerror}. "
                f"If too many files are open, close some, or raise the limit (ulimit -n)."
            ) from error

    @functools.cached_property
    def digest(self) -> str:
        """A digest of the model: equal digests mean equal files, and an equal ``max_tokens`` if you changed it.

        Computing it reads all files once, which takes a moment.
        """
        own = self.own_max_tokens
        route = "" if self._route == "document" else f" route={self._route}"
        return self.files.digest() + ("" if own is None else f" max_tokens={own}") + route
