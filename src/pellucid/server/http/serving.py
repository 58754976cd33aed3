"""What the routes share: the models, the limits, and the way from what was asked to its vectors."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import numpy as np
from fastapi import Request

from pellucid.errors import (
    InputError,
    InvalidModelError,
    OptionError,
    QueueFullError,
    RequestError,
    RequestTimeoutError,
    TextError,
    VectorNotFiniteError,
)
from pellucid.layers.finish import EachToken, Finish
from pellucid.server.core.budget import Budget, Hold
from pellucid.server.core.metrics import Metrics
from pellucid.server.core.models import Models
from pellucid.server.core.service import Service, is_short
from pellucid.server.core.worker import Check, Worker
from pellucid.server.http.connections import Connections
from pellucid.server.http.errors import client_left
from pellucid.server.settings import Settings
from pellucid.text.truncation import Truncation
from pellucid.types import Float32, Int32, MultiVectors, TokenBatch

Given = str | list[str] | list[int] | list[list[int]]
T = TypeVar("T")
_IDS_AT_ONCE = 20_000
"""So many token ids are checked on the event loop; more, in a thread."""
_NUMBER_BYTES = 32
"""What a number takes on its way: twice in vectors, and once, as digits, in the answer."""
_PATIENCE = 0.05
"""Seconds after which we begin to look whether the client is still there; most requests are answered by then."""


HOLD, CONNECTION, DEADLINE = "pellucid.hold", "pellucid.connection", "pellucid.deadline"
"""Keys of a request's scope: the memory that it holds, the connection that it came by, and when its time is over (with
how long that was)."""


@dataclass(eq=False)
class Serving:
    """What a server has while it runs; one for each app.

    Attributes:
        settings: what it was told.
        metrics: what it counts.
        models: what it serves.
        draining: whether it is stopping, and answers what was accepted.
        budget: the memory of all requests.
        connections: how many there may be, and for how long.
        parsing: the thread that parses long bodies and writes long answers.
        viewing: the thread that makes views.
    """

    settings: Settings
    metrics: Metrics
    models: Models
    draining: bool = False
    started: float = field(default_factory=time.monotonic)
    parsing: Worker = field(default_factory=lambda: Worker("parsing"))
    viewing: Worker = field(default_factory=lambda: Worker("viewing"))
    _view: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _views: int = 0

    def __post_init__(self) -> None:
        self.budget = Budget(self.settings.limits.request_bytes)
        self.connections = Connections(self.settings.limits, self.budget, self.metrics)
        self.metrics.held_limit.set(self.budget.limit)
        self.metrics.held.set_function(lambda: self.budget.in_use)
        self.metrics.connections.set_function(lambda: len(self.connections.open))

    async def view(self, request: Request, make: Callable[[Check], T], *, memory: int = 0) -> T:
        """Something to look at, made in a thread, one after another: they take their time.

        Args:
            request: whose view it is.
            make: makes it.
            memory: how much it takes; it is held until the thread has ended.

        Raises:
            QueueFullError: too many wait already.
            RequestMemoryFullError, RequestTooLargeError: there is no room for it.
            RequestTimeoutError: it took too long.
        """
        if self._views >= self.settings.limits.views:
            raise QueueFullError(f"{self._views} views", 5)
        self._views += 1
        try:
            return await attended(request, self._in_turn(make, memory))
        finally:
            self._views -= 1

    async def _in_turn(self, make: Callable[[Check], T], memory: int) -> T:
        await self._view.acquire()
        hold = self.budget.hold()

        def ended() -> None:
            # A thread cannot be stopped: the next begins when it has ended, also if nobody waits for it any more.
            hold.release()
            self._view.release()

        try:
            hold.take(memory)
        except BaseException:
            ended()
            raise
        return await self.viewing.run(make, ended=ended)

    def close(self) -> None:
        """Let all threads end."""
        self.models.close()
        self.parsing.close()
        self.viewing.close()

    def busy(self) -> bool:
        """Whether a thread is at work."""
        return self.parsing.busy or self.viewing.busy or self.models.busy()


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as tokens.

    Attributes:
        tokens: of all texts.
        counts: how many each had before it was cut, ``int32[n]``.
        max_tokens: how many the model reads.
        prompt_tokens: how many at the start of each are the prompt's.
    """

    tokens: TokenBatch
    counts: Int32
    max_tokens: int
    prompt_tokens: int = 0

    def headers(self) -> dict[str, str]:
        """What tells the client that something was cut off: nothing is in silence."""
        if self.counts.max(initial=0) <= self.max_tokens:
            return {}
        cut = Truncation.of(self.counts, self.max_tokens)
        return {"x-pellucid-truncated": f"texts={cut.cut}, tokens={cut.lost}"}

    def cut(self) -> frozenset[int]:
        """The positions of the texts that were cut."""
        return frozenset(np.flatnonzero(self.counts > self.max_tokens).tolist())


def serving_of(request: Request) -> Serving:
    """What this request's server has."""
    return cast("Serving", request.app.state.serving)


def hold_of(request: Request) -> Hold:
    """The memory that this request holds."""
    return cast("Hold", request.scope[HOLD])


async def prepared(
    serving: Serving,
    request: Request,
    service: Service,
    given: Given,
    *,
    prompt_name: str | None,
    truncate: bool | None,
) -> TokenizedTexts:
    """What was given, checked against the limits, as tokens.

    Raises:
        InputError: it is empty, too many, too long, or not of this model; which text is named.
    """
    limits = serving.settings.limits
    items = cast("list[str] | list[list[int]]", [given] if isinstance(given, str) or _is_ids(given) else given)
    if not items:
        raise InputError("the input is empty: there is no text to embed.")
    check_count(items, limits.texts)
    cut = serving.settings.on_truncation == "cut" if truncate is None else truncate
    if not isinstance(items[0], str):
        if prompt_name is not None:
            raise OptionError("prompt_name is for texts; token ids are embedded as they are.")
        check_ids(items, limits.characters)
        check = functools.partial(_checked_ids, items, service, cut=cut)
        if sum(map(len, items)) <= _IDS_AT_ONCE:
            return check()
        return await attended(request, serving.parsing.run(lambda _: check()))
    texts = items
    check_characters(texts, limits.characters)
    for position, text in enumerate(texts):
        if not text:
            raise TextError(f"text {position} is empty. Leave it out.")
    prompt = service.embedder.prompt_named(prompt_name)
    tokenizing = service.tokenize(texts, prompt, cut=cut)
    # A short text is tokenized before anybody could leave.
    tokens, counts = await (tokenizing if is_short(texts, prompt) else attended(request, tokenizing))
    return TokenizedTexts(tokens, counts, service.embedder.max_tokens, service.embedder.tokenizer.prompt_tokens(prompt))


async def embedded(
    serving: Serving,
    request: Request,
    service: Service,
    ready: TokenizedTexts,
    *,
    normalize: bool | None = None,
    dimensions: int | None = None,
) -> Float32:
    """The vectors of prepared texts, ``float32[n, d]``; nothing is computed for a client that has left.

    Raises:
        RequestError: the model has not so many dimensions, or the client has left.
        VectorNotFiniteError: a vector is not finite; the text is named.
    """
    most = service.embedder.dimensions
    if dimensions is not None and dimensions > most:
        words = f"dimensions: {dimensions:,} is more than the model has: {most}."
        raise RequestError(400, words, "invalid_value", "dimensions")
    finish = service.embedder.finish(ready.prompt_tokens, normalize, dimensions)
    return await _run(serving, request, service, ready, finish, len(ready.tokens) * (dimensions or most))


async def each_token(serving: Serving, request: Request, service: Service, ready: TokenizedTexts) -> MultiVectors:
    """A vector for each token of prepared texts; the errors of :func:`embedded`."""
    numbers = len(ready.tokens.ids) * service.embedder.spec.encoder.hidden_size
    return await _run(serving, request, service, ready, EachToken(), numbers)


async def _run(
    serving: Serving, request: Request, service: Service, ready: TokenizedTexts, finish: Finish[T], numbers: int
) -> T:
    """What ``finish`` makes of prepared texts: so many numbers."""
    hold_of(request).take(4 * len(ready.tokens.ids) + _NUMBER_BYTES * numbers)
    with serving.models.used(service):
        result = await attended(request, service.run(ready.tokens, finish))
    try:
        finish.check(result, lambda row: row)
    except InvalidModelError as error:
        raise VectorNotFiniteError(str(error)) from None
    return result


async def attended(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``, which is cancelled if the client leaves, or the time is over, before it is there.

    Raises:
        RequestError: the client has left.
        RequestTimeoutError: the time is over.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    gone = late = False
    deadline, seconds = request.scope.get(DEADLINE, (None, 0.0))
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        if task is not None:
            task.cancel()

    def end() -> None:
        nonlocal late
        late = True
        if task is not None:
            task.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    timers = [loop.call_later(_PATIENCE, begin)]
    if deadline is not None:
        timers.append(loop.call_at(deadline, end))
    try:
        return await work
    except asyncio.CancelledError:
        if (gone or late) and task is not None and not task.uncancel():
            raise (client_left() if gone else RequestTimeoutError(seconds)) from None
        raise
    finally:
        for timer in timers:
            timer.cancel()
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher


def check_count(items: Sequence[object], most: int) -> None:
    """Refuse more texts than one request may have.

    Raises:
        InputError: there are too many.
    """
    if len(items) > most:
        raise InputError(f"{len(items):,} texts are too many for one request; at most {most:,}.")


def check_characters(texts: list[str], most: int) -> None:
    """Refuse texts that nobody means to have embedded whole; the tokenizer would read all of each.

    Raises:
        TextError: a text is too long; its position is named.
    """
    for position, text in enumerate(texts):
        if len(text) > most:
            raise TextError(
                f"text {position} has {len(text):,} characters, and this server reads at most {most:,}. Split it."
            )


def check_ids(sequences: list[list[int]], most: int) -> None:
    """Refuse lists of more token ids than a text may have characters.

    Raises:
        InputError: a list is too long; its position is named.
    """
    for position, ids in enumerate(sequences):
        if len(ids) > most:
            raise InputError(f"list {position} has {len(ids):,} token ids, and this server reads at most {most:,}.")


def _is_ids(given: Given) -> bool:
    return bool(given) and isinstance(given[0], int)


def _checked_ids(sequences: list[list[int]], service: Service, *, cut: bool) -> TokenizedTexts:
    embedder = service.embedder
    vocabulary, most = embedder.spec.encoder.vocab_size, embedder.max_tokens
    for position, ids in enumerate(sequences):
        if max(ids) >= vocabulary:
            raise InputError(
                f"text {position} has the token id {max(ids):,}; the model's vocabulary ends at {vocabulary - 1:,}. "
                f"Are the ids another model's? LangChain's OpenAIEmbeddings needs check_embedding_ctx_length=False."
            )
    counts = np.array([len(ids) for ids in sequences], dtype=np.int32)
    truncation = Truncation.of(counts, most)
    if truncation.cut and not cut:
        raise InputError(f"{truncation.describe(most)}. Split them.")
    return TokenizedTexts(TokenBatch.from_sequences([ids[:most] for ids in sequences]), counts, most)
