"""What the routes share: the models, the limits, and the way from what was asked to its vectors."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

import numpy as np
from fastapi import Request

from pellucid.errors import InputError, OptionError, TextError
from pellucid.server.failures import GONE, Failure, RequestError
from pellucid.server.figures import Metrics
from pellucid.server.models import Models
from pellucid.server.queue import Options, QueueFullError
from pellucid.server.service import Service
from pellucid.server.settings import Settings
from pellucid.truncation import Truncation
from pellucid.types import Float32, TokenBatch

Given = str | list[str] | list[int] | list[list[int]]
T = TypeVar("T")
_PATIENCE = 0.05
"""Seconds after which we begin to look whether the client is still there; most requests are answered by then."""


@dataclass(eq=False)
class Serving:
    """What a server has while it runs; one for each app.

    Attributes:
        settings: what it was told.
        metrics: what it counts.
        models: what it serves.
        draining: whether it is stopping, and answers what was accepted.
    """

    settings: Settings
    metrics: Metrics
    models: Models
    draining: bool = False
    started: float = field(default_factory=time.monotonic)
    _view: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _views: int = 0

    async def view(self, request: Request, make: Callable[[], T]) -> T:
        """Something to look at, made in a thread, one after another: they take their time.

        Raises:
            QueueFullError: too many wait already.
        """
        if self._views >= self.settings.limits.views:
            raise QueueFullError(f"{self._views} views", 5)
        self._views += 1
        try:
            return await attended(request, self._in_turn(make))
        finally:
            self._views -= 1

    async def _in_turn(self, make: Callable[[], T]) -> T:
        await self._view.acquire()
        making = asyncio.ensure_future(asyncio.to_thread(make))
        # A thread cannot be stopped: the next begins when it has ended, also if nobody waits for it any more.
        making.add_done_callback(lambda _: self._view.release())
        return await asyncio.shield(making)


@dataclass(frozen=True)
class Prepared:
    """Texts as tokens.

    Attributes:
        tokens: of all texts.
        prompt_tokens: how many at the start of each are the prompt's.
        truncation: what was cut off.
    """

    tokens: TokenBatch
    prompt_tokens: int
    truncation: Truncation

    def headers(self) -> dict[str, str]:
        """What tells the client that something was cut off: nothing is in silence."""
        if not self.truncation.cut:
            return {}
        return {"x-pellucid-truncated": f"texts={self.truncation.cut}, tokens={self.truncation.lost}"}


def serving_of(request: Request) -> Serving:
    """What this request's server has."""
    return cast("Serving", request.app.state.serving)


async def prepared(
    serving: Serving, service: Service, given: Given, *, prompt_name: str | None, truncate: bool | None
) -> Prepared:
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
        tokens, truncation = _checked_ids(items, service, cut=cut)
        return Prepared(tokens, 0, truncation)
    texts = items
    check_characters(texts, limits.characters)
    for position, text in enumerate(texts):
        if not text:
            raise TextError(f"text {position} is empty. Leave it out.")
    told: list[Truncation] = []
    prompt = service.embedder.prompt_named(prompt_name)
    tokens = await service.tokenize(texts, prompt, cut=cut, told=told.append)
    return Prepared(tokens, service.embedder.tokenizer.prompt_tokens(prompt), told[0])


async def embedded(
    serving: Serving,
    request: Request,
    service: Service,
    ready: Prepared,
    *,
    normalize: bool | None = None,
    dimensions: int | None = None,
    pooled: bool = True,
) -> Float32:
    """The vectors of prepared texts; nothing is computed for a client that has left.

    Raises:
        RequestError: the model has not so many dimensions, or the client has left.
    """
    most = service.embedder.dimensions
    if dimensions is not None and dimensions > most:
        words = f"dimensions: {dimensions:,} is more than the model has: {most}."
        raise RequestError(Failure(400, words, "invalid_value", "dimensions"))
    options = Options(ready.prompt_tokens if _passes_over(service) else 0, normalize, dimensions, pooled)
    with serving.models.used(service):
        return await attended(request, service.vectors(ready.tokens, options))


async def attended(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``, which is cancelled if the client leaves before it is there.

    Raises:
        RequestError: the client has left.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    gone = False
    watcher: asyncio.Task[None] | None = None

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        if task is not None:
            task.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    timer = loop.call_later(_PATIENCE, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and task is not None and not task.uncancel():
            raise RequestError(GONE) from None
        raise
    finally:
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


def _is_ids(given: Given) -> bool:
    return bool(given) and isinstance(given[0], int)


def _passes_over(service: Service) -> bool:
    """Whether the model's pooling passes over prompts; else texts with different prompts can be pooled together."""
    return not service.embedder.spec.pooling.include_prompt


def _checked_ids(sequences: list[list[int]], service: Service, *, cut: bool) -> tuple[TokenBatch, Truncation]:
    embedder = service.embedder
    vocabulary, most = embedder.spec.encoder.vocab_size, embedder.max_tokens
    for position, ids in enumerate(sequences):
        if max(ids) >= vocabulary:
            raise InputError(
                f"text {position} has the token id {max(ids):,}; the model's vocabulary ends at {vocabulary - 1:,}. "
                f"Are the ids another model's? LangChain's OpenAIEmbeddings needs check_embedding_ctx_length=False."
            )
    truncation = Truncation.of(np.array([len(ids) for ids in sequences], dtype=np.int32), most)
    if truncation.cut and not cut:
        raise InputError(f"{truncation.describe(most)}. Split them.")
    return TokenBatch.from_sequences([ids[:most] for ids in sequences]), truncation
