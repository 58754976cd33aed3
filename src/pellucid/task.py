"""What every task shares: an encoder, a cache, and what is done about texts that are too long."""

from __future__ import annotations

import functools
import itertools
import operator
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args

import numpy as np

from pellucid.cache.lookup import look_up, open_cache
from pellucid.checks import check_choice
from pellucid.encoder.encoder import Encoder
from pellucid.encoder.fingerprint import Fingerprint, Option
from pellucid.errors import OptionError, TruncationWarning
from pellucid.files.progress import progress
from pellucid.layers.finish import Finish
from pellucid.text.checks import check_texts
from pellucid.text.truncation import OnTruncation, Truncation, cut_from
from pellucid.types import Float32, Int32, Int64, TokenBatch

if TYPE_CHECKING:
    from pellucid.cache.store import Cache
    from pellucid.engines.base import Engine
    from pellucid.model.spec import ModelSpec
    from pellucid.sources.files import ModelFiles
    from pellucid.text.tokenizer import Tokenizer

Result = TypeVar("Result")

_SETTABLE = frozenset({"cache", "encoder", "on_truncation"})
_DEFAULTS = {"dtype": "float32", "engine": "auto", "device": "cpu", "local_files_only": False}
_TEXTS_AHEAD = 16_384
"""How many texts are tokenized while a GPU is at those before."""
_TEXTS_PER_WINDOW = 2048
"""How many texts of a stream are held at a time: enough to sort by length, few enough to bound the memory."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """What a call asks for beside its texts.

    Attributes:
        prompt: put before each text.
        finish: what is made of each text's token vectors.
        width: how many numbers the result of a text has.
        options: what the result depends on beside the prompt; a cache keeps results of other options apart.
    """

    prompt: str
    finish: Finish[Result]
    width: int
    options: Mapping[str, Option] = field(default_factory=dict)


class Task:
    """A task on a model.

    Args:
        model: a name, a folder, or an :class:`~pellucid.encoder.encoder.Encoder` that several tasks share.
        options: those of ``Encoder``, to load one by the name.
        cache: a file, or a :class:`~pellucid.cache.store.Cache`; None for none.
        on_truncation: "warn", "error" or "ignore".

    Raises:
        OptionError: an option's value cannot be served, or was settled when the Encoder was made.
        CacheError: the file of ``cache`` cannot be used.
        ModelError: as ``Encoder``.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Encoder,
        options: Mapping[str, Any],
        cache: str | os.PathLike[str] | Cache | None,
        on_truncation: OnTruncation,
    ) -> None:
        check_choice("on_truncation", on_truncation, get_args(OnTruncation))
        self.on_truncation: OnTruncation = on_truncation
        self.cache = open_cache(cache)
        if isinstance(model, Encoder):
            if given := [name for name, value in options.items() if value != _DEFAULTS.get(name)]:
                raise OptionError(f"{given[0]} is settled by the Encoder. Pass it when you make the Encoder.")
            self.encoder = model
        else:
            self.encoder = Encoder(model, **options)

    @property
    def files(self) -> ModelFiles:
        """Where the model's files are, and where they came from."""
        return self.encoder.files

    @property
    def spec(self) -> ModelSpec:
        """Everything that the model's JSON files say."""
        return self.encoder.spec

    @property
    def tokenizer(self) -> Tokenizer:
        """What cuts texts into tokens."""
        return self.encoder.tokenizer

    @property
    def engine(self) -> Engine:
        """What does the arithmetic; ``engine.name`` says which engine it is."""
        return self.encoder.engine

    @property
    def model_name(self) -> str:
        """The model's full name, or the folder as it was given."""
        return self.spec.name

    @property
    def max_tokens(self) -> int:
        """The longest text, in tokens, special tokens included; longer ones are truncated."""
        return self.encoder.max_tokens

    @property
    def digest(self) -> str:
        """What says that a model is the same: a digest of its files, and ``max_tokens`` if you lowered it.

        All files are read for it, once, which takes a moment.
        """
        return self.encoder.digest

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute that a task has. Any other is a mistake, and would have no effect.

        Raises:
            OptionError: there is no such attribute, or it is settled when the task is made.
        """
        own = type(self).__module__.partition(".")[0] == "pellucid"  # A class of yours may have what it likes.
        if name in ("max_tokens", "max_seq_length"):
            raise OptionError(f"{name} cannot be set. Pass max_tokens= when you make the {type(self).__name__}.")
        if own and not name.startswith("_") and name not in _SETTABLE:
            raise OptionError(
                f"an {type(self).__name__} has no attribute {name!r} that can be set. Pass what is to differ when you "
                f"make it, or when you call it."
            )
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[Any, ...]]:
        """Pickled as what it was made with, it is loaded again where it arrives."""
        return _make_again, (type(self), self.encoder, self.cache, self.on_truncation)

    # The way of the data

    def _run(
        self, texts: list[str], call: Call[Result], *, first: int = 0, show_progress: bool = False
    ) -> tuple[Result, Truncation]:
        """Texts to results, and what was cut off. ``first`` is the position of the first text, for messages."""
        with progress(len(texts), show=show_progress) as advance:
            if self.cache is not None:
                rows, truncation = self._run_cached(self.cache, texts, cast("Call[Float32]", call), first, advance)
                return cast("Result", rows), truncation
            truncation = Truncation()
            parts: list[tuple[Int64, Result]] = []
            for tokens, counts in self._tokenize(texts, call.prompt, first):
                start = truncation.texts
                truncation += cut_from(counts, self.max_tokens, self.on_truncation, first + start)
                result = self.encoder.run(tokens, call.finish, advance=advance)
                call.finish.check(result, functools.partial(operator.add, first + start))
                parts.append((np.arange(start, truncation.texts), result))
            return parts[0][1] if len(parts) == 1 else call.finish.in_order(parts), truncation

    def _run_cached(
        self, cache: Cache, texts: list[str], call: Call[Float32], first: int, advance: Callable[[int], object]
    ) -> tuple[Float32, Truncation]:
        """The same way, but only for texts that the cache has no result for."""
        check_texts(texts, first=first)
        fingerprint = Fingerprint.of(self.encoder, call.prompt, call.options)
        known = look_up(cache, fingerprint.key(), texts, call.width)
        tokens, counts = self.tokenizer.tokenize(known.new, call.prompt)
        truncation = cut_from(known.tokens(counts), self.max_tokens, self.on_truncation, first)
        advance(len(texts) - len(known.new))
        computed = self.encoder.run(tokens, call.finish, advance=advance)
        call.finish.check(computed, lambda row: first + known.order.index(len(known.found.rows) + row))
        if known.new:
            cache.put(known.keys, computed, counts.tolist())
        return known.vectors(computed), truncation

    def _tokenize(self, texts: list[str], prompt: str, first: int) -> Iterator[tuple[TokenBatch, Int32]]:
        """The texts' tokens and counts, at once. If a GPU leaves this machine's processors free, in parts, each made
        while the GPU is at the one before; but what may not be cut is counted whole first.
        """
        if self.on_truncation == "error" or self.engine.device == "cpu":
            yield self.tokenizer.tokenize(texts, prompt, first=first)
            return
        from pellucid.files.prefetch import one_thread, prefetch

        check_texts(texts, first=first)
        starts = range(0, max(1, len(texts)), _TEXTS_AHEAD)
        with one_thread() as pool:
            yield from prefetch(
                pool,
                starts,
                lambda start: self.tokenizer.tokenize(texts[start : start + _TEXTS_AHEAD], prompt, first=first + start),
            )

    def _run_windows(self, texts: Iterator[str], call: Call[Result]) -> Iterator[Result]:
        """The results of any number of texts, some texts after others. What was cut is told at the end."""
        total = Truncation()
        try:
            while window := list(itertools.islice(texts, _TEXTS_PER_WINDOW)):
                result, truncation = self._run(window, call, first=total.texts)
                total += truncation
                yield result
        finally:
            self._warn(total)

    def _warn(self, truncation: Truncation) -> None:
        """Say what was cut off, as if the caller of the calling method had said it."""
        if truncation.cut and self.on_truncation == "warn":
            message = f"{truncation.describe(self.max_tokens)} and had no part in the vectors."
            warnings.warn(message, TruncationWarning, stacklevel=3)


def _make_again(task: Callable[..., Task], encoder: Encoder, cache: Cache | None, on_truncation: OnTruncation) -> Task:
    return task(encoder, cache=cache, on_truncation=on_truncation)
