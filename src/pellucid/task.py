"""What all tasks share: an encoder, a cache, and the handling of texts that are too long."""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, get_args

import numpy as np

from pellucid import catalog
from pellucid.cache.lookup import look_up, open_cache
from pellucid.checks import check_choice
from pellucid.encoder.encoder import Encoder
from pellucid.encoder.fingerprint import Fingerprint, Option
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.files.progress import progress
from pellucid.layers.finish import Finish
from pellucid.text.checks import check_texts
from pellucid.text.truncation import OnTruncation, Truncation, check_truncation, warn_about_truncation
from pellucid.types import Float32, Int32, Int64, TokenBatch

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.engines.base import Engine
    from pellucid.model.spec import ModelSpec
    from pellucid.sources.files import ModelFiles
    from pellucid.text.tokenizer import Tokenizer

Result = TypeVar("Result")

_SETTABLE = frozenset({"cache", "encoder", "on_truncation"})
_OPTION_DEFAULTS = {"dtype": "float32", "engine": "auto", "device": "cpu", "local_files_only": False}
"""The Encoder's defaults that are not None."""
_TEXTS_PER_PREFETCH = 16_384
"""How many texts to tokenize ahead while the GPU works on the previous ones."""
_TEXTS_PER_WINDOW = 2048
"""How many texts of a stream to hold at a time: enough to sort by length, few enough to bound the memory."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """Everything that one call asks for, except its texts.

    Attributes:
        prompt: goes before each text.
        finish: turns each text's token vectors into its result.
        width: the length of one text's result.
        options: the other options that the result depends on. They are part of the cache's key.
    """

    prompt: str
    finish: Finish[Result]
    width: int
    options: Mapping[str, Option] = field(default_factory=dict)


class Task:
    """The base class of every task. A task has methods that turn texts into results.

    A subclass has a constructor that takes an Encoder, ``cache`` and ``on_truncation``, because copies and pickles are
    made with those. Only results of the shape ``float32[n, width]`` can be kept in a cache.

    Attributes:
        task_name: the name of the task. It keeps the cached results of different tasks apart.
        progress_name: what a progress bar says that the task does.
        other_names: what to use here instead of a name that other libraries have.
        other_options: the same for the options of the constructor.
        model_kind: the kind of the models it needs, for those that the catalog has.

    Args:
        model: a name, a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several tasks share.
        options: the options of ``Encoder``, for a name or a folder.
        cache: a file, a :class:`~pellucid.cache.store.Cache`, or None.
        on_truncation: "warn", "error" or "cut"; "ignore" is the older name of "cut".

    Raises:
        OptionError: an option's value is not supported, or ``model`` is an Encoder, which has its options already.
        CacheError: the cache file cannot be used.
        UnsupportedModelError: the catalog says that the model is of another kind. Nothing was downloaded.
        ModelError: the model cannot be loaded; see ``Encoder``.
    """

    task_name: ClassVar[str]
    progress_name: ClassVar[str] = "Embedding"
    model_kind: ClassVar[catalog.Kind] = "embedder"
    other_names: ClassVar[dict[str, str]] = {
        "max_seq_length": "max_tokens",
        "get_max_seq_length": "max_tokens",
        "tokenize": "tokenizer.tokenize(texts)",
        "prompts": "spec.prompts",
        "device": "engine.device",
        "dtype": "engine.dtype",
        "to": "the option device= when you create it",
    }
    other_options: ClassVar[dict[str, str]] = {
        "model": "model_name",
        "model_name_or_path": "model_name",
        "cache_dir": "cache_folder",
        "max_seq_length": "max_tokens",
        "max_length": "max_tokens",
        "torch_dtype": "dtype",
        "backend": "engine",
        "use_auth_token": "token",
    }

    if not TYPE_CHECKING:  # A type checker knows the options of each task from its constructor.

        def __new__(cls, *_arguments: Any, **options: Any) -> Task:
            """Refuse an option that does not exist."""
            check_options(cls, options)
            return super().__new__(cls)

    def __init__(
        self,
        model: str | os.PathLike[str] | Encoder,
        options: Mapping[str, Any],
        cache: str | os.PathLike[str] | Cache | None,
        on_truncation: OnTruncation,
    ) -> None:
        check_choice("on_truncation", on_truncation, get_args(OnTruncation))
        self.on_truncation: OnTruncation = on_truncation
        if isinstance(model, Encoder):
            if given := [name for name, value in options.items() if value != _OPTION_DEFAULTS.get(name)]:
                raise OptionError(f"{given[0]} belongs to the Encoder. Pass it when you create the Encoder.")
            self.encoder = model
        else:
            _check_kind(model, self.model_kind)
            self.encoder = Encoder(model, **options)
        self.cache = open_cache(cache)

    @property
    def files(self) -> ModelFiles:
        """The model's files: where they are, and where they came from."""
        return self.encoder.files

    @property
    def spec(self) -> ModelSpec:
        """The content of the model's JSON files."""
        return self.encoder.spec

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, which cuts texts into tokens."""
        return self.encoder.tokenizer

    @property
    def engine(self) -> Engine:
        """The engine that does the arithmetic; ``engine.name`` is its name."""
        return self.encoder.engine

    def prompt_named(self, prompt_name: str | None) -> str:
        """The prompt of this name, or the task's own if it is None. Raises OptionError for an unknown name."""
        raise NotImplementedError

    @property
    def model_name(self) -> str:
        """The model's full name, or the folder as you gave it."""
        return self.spec.name

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read, special tokens included. A longer text is truncated."""
        return self.encoder.max_tokens

    @property
    def digest(self) -> str:
        """Identifies the model: a digest of its files, and ``max_tokens`` if you changed it.

        The first use reads all the files, which takes a moment.
        """
        return self.encoder.digest

    if not TYPE_CHECKING:  # A type checker would accept any attribute.

        def __getattr__(self, name: str) -> Any:
            """Refuse an attribute that does not exist, and say what to use if another library calls it that."""
            if hasattr(type(self), name):  # A property that failed for want of another attribute.
                return object.__getattribute__(self, name)  # Raises its own error again.
            message = f"{type(self).__name__} has no attribute {name!r}."
            if name in self.other_names:
                message += f" Use {self.other_names[name]}."
            raise AttributeError(message, name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        """Set one of the few attributes that can be set. Setting another would have no effect, so it is an error.

        Raises:
            OptionError: the attribute does not exist, or cannot be set after the task was created.
        """
        kind = type(self)
        if name in ("max_tokens", "max_seq_length"):
            raise OptionError(f"{name} cannot be set. Pass max_tokens= when you create the {kind.__name__}.")
        is_ours = kind.__module__.partition(".")[0] == "pellucid"  # A subclass of yours may set what it likes.
        if is_ours and not name.startswith("_") and name not in _SETTABLE:
            raise OptionError(
                f"{kind.__name__} has no attribute {name!r} that can be set. Pass options when you create it, or when "
                f"you call its methods."
            )
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[Any, ...]]:
        """Pickle the arguments. Unpickling creates the task again, and loads its model."""
        return _create, (type(self), self.encoder, self.cache, self.on_truncation)

    # From texts to results

    def _run(
        self,
        texts: list[Any],
        call: Call[Result],
        *,
        show_progress: bool = False,
        advance: Callable[[int], object] = lambda _texts: None,
    ) -> Result:
        """Compute the results of texts, and warn about truncation."""
        with progress(len(texts), show=show_progress, desc=self.progress_name) as move_bar:

            def advance_both(more: int) -> None:
                move_bar(more)
                advance(more)

            result, truncation = self._run_part(texts, call, advance_both)
        warn_about_truncation(truncation, self._most_tokens(call), self.on_truncation)
        return result

    def _most_tokens(self, call: Call[Any]) -> int:  # noqa: ARG002
        """How many tokens of a text are read. A task that reads texts of several kinds overrides this."""
        return self.max_tokens

    def _unit(self, texts: list[Any]) -> str:  # noqa: ARG002
        """What a message calls one of the texts. Tasks for pairs override this."""
        return "text"

    def _run_stream(
        self, texts: Iterator[str], call: Call[Result], advance: Callable[[int], object]
    ) -> Iterator[Result]:
        """Compute the results of any number of texts, window by window. The warning about truncation comes last."""
        total = Truncation()
        try:
            while window := list(itertools.islice(texts, _TEXTS_PER_WINDOW)):
                result, truncation = self._run_part(window, call, advance, first=total.texts)
                total += truncation
                yield result
        finally:
            warn_about_truncation(total, self._most_tokens(call), self.on_truncation)

    def _run_part(
        self, texts: list[str], call: Call[Result], advance: Callable[[int], object], *, first: int = 0
    ) -> tuple[Result, Truncation]:
        """The results of texts, and what was cut off. ``first`` is the position of the first text, for messages."""
        if self.cache is not None:
            rows, truncation = self._run_cached(self.cache, texts, cast("Call[Float32]", call), first, advance)
            return cast("Result", rows), truncation
        truncation = Truncation()

        def parts() -> Iterator[tuple[Int64, Result]]:
            nonlocal truncation
            for tokens, counts in self._tokenize(texts, call, first):
                start = truncation.texts
                position = first + start
                truncation += check_truncation(
                    counts, self._most_tokens(call), self.on_truncation, position, unit=self._unit(texts)
                )
                result = self.encoder.run(tokens, call.finish, advance=advance)
                call.finish.check(result, functools.partial(operator.add, first + start))
                yield np.arange(start, truncation.texts), result

        return call.finish.merge(parts(), len(texts)), truncation

    def _run_cached(
        self, cache: Cache, texts: list[str], call: Call[Float32], first: int, advance: Callable[[int], object]
    ) -> tuple[Float32, Truncation]:
        """Do the same, but compute only the texts that are not in the cache."""
        check_texts(texts, first=first)
        fingerprint = Fingerprint.of(self.encoder, call.prompt, call.options, self.task_name)
        lookup = look_up(cache, fingerprint.key(), texts, call.width)
        tokens, counts = self.tokenizer.tokenize(lookup.missing, call.prompt)
        truncation = check_truncation(lookup.join_counts(counts), self.max_tokens, self.on_truncation, first)
        advance(len(texts) - len(lookup.missing))
        computed = self.encoder.run(tokens, call.finish, advance=advance)
        call.finish.check(computed, lambda row: first + lookup.position(row))
        if lookup.missing:
            cache.put(lookup.missing_keys, computed, counts.tolist())
        return lookup.join_vectors(computed), truncation

    def _tokenize(self, texts: list[Any], call: Call[Any], first: int) -> Iterator[tuple[TokenBatch, Int32]]:
        """Tokenize texts, all at once or in parts: yields tokens, and how many each text had before truncation.

        On a GPU, the next part is tokenized while the GPU works on the previous one. But under ``"error"`` all texts
        are tokenized first, so that a text that is too long is found before any arithmetic.
        """
        if self.on_truncation == "error" or self.engine.device == "cpu":
            yield self._tokenize_now(texts, call.prompt, first)
            return
        from pellucid.files.prefetch import one_thread, prefetch

        self._check(texts, first)
        size = _TEXTS_PER_PREFETCH
        starts = range(0, max(1, len(texts)), size)
        with one_thread() as pool:
            yield from prefetch(
                pool,
                starts,
                lambda start: self._tokenize_now(texts[start : start + size], call.prompt, first + start),
            )

    def _check(self, texts: list[Any], first: int) -> None:
        """Check texts before any work on them. Tasks for pairs override this."""
        check_texts(texts, first=first)

    def _tokenize_now(self, texts: list[Any], prompt: str, first: int) -> tuple[TokenBatch, Int32]:
        """Tokenize texts: their tokens, and how many each had before truncation. Tasks for pairs override this."""
        return self.tokenizer.tokenize(texts, prompt, first=first)


def _create(task: Callable[..., Task], encoder: Encoder, cache: Cache | None, on_truncation: OnTruncation) -> Task:
    return task(encoder, cache=cache, on_truncation=on_truncation)


_OTHER_KINDS: dict[catalog.Kind, str] = {
    "embedder": "gives vectors, not scores. Use Embedder, or pellucid embed.",
    "reranker": "scores pairs of texts, and gives no vectors. Use Reranker, or pellucid rerank.",
}


def check_options(task: type[Task], names: Iterable[str]) -> None:
    """Refuse an option that a task does not have.

    Raises:
        TypeError: it does not exist. The message says which one may be meant.
    """
    known = inspect.signature(task.__init__).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known)[1:], n=1)
            meant = task.other_options.get(name) or (near[0] if near else None)
            hint = f" Did you mean {meant}?" if meant else ""
            raise TypeError(f"{task.__name__} has no option {name!r}.{hint}")


def _check_kind(model: str | os.PathLike[str], wanted: catalog.Kind) -> None:
    """Refuse a model of the catalog that is of another kind, before anything is downloaded. A folder may be anything.

    Raises:
        UnsupportedModelError: it is of another kind.
    """
    entry = catalog.find(model) if isinstance(model, str) else None
    if entry is not None and entry.kind != wanted and not Path(model).is_dir():
        raise UnsupportedModelError(f"{entry.name} {_OTHER_KINDS[entry.kind]}")
