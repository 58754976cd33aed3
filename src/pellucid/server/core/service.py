"""A model at work: texts in, and vectors out, for many who ask at once."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from pellucid.embedder import Embedder
from pellucid.errors import EngineFailedError, TruncationError
from pellucid.layers.finish import Finish
from pellucid.server.core.metrics import ModelMetrics
from pellucid.server.core.queue import Answer, Queue, QueuedRequest, Share, work
from pellucid.server.core.worker import Check, Worker
from pellucid.server.settings import Limits
from pellucid.text.truncation import Truncation
from pellucid.types import Int32, TokenBatch

_AT_ONCE = 20_000
"""So many characters are tokenized on the event loop, in some milliseconds; more, in a thread of their own."""
PART = 50_000
"""So many characters are tokenized before it is another request's turn."""
T = TypeVar("T")
S = TypeVar("S", bound=Sequence[Any])
Result = TypeVar("Result")


class Service:
    """One model, its queue, and the thread that takes from it.

    Args:
        embedder: the model, made with ``on_truncation="ignore"``: what is cut is told by whoever asks here.
        limits: how much may wait, and how long.
        figures: counts the work.
        engine_free: held while the engine works, so that several models do not fight for the same processors.
        tokenizing: the thread that tokenizes long texts, for all models.
        name: of the model, as clients know it.
    """

    def __init__(
        self,
        embedder: Embedder,
        limits: Limits,
        figures: ModelMetrics,
        engine_free: threading.Lock,
        tokenizing: Worker,
        name: str,
    ) -> None:
        self.embedder = embedder
        self.figures = figures
        self.name = name
        self.busy = False
        self._engine_free = engine_free
        self._tokenizing = tokenizing
        self._queue = Queue(most_tokens=limits.waiting_tokens, tokens_per_call=limits.tokens_per_call)
        figures.watch(self._queue.waiting)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=work, args=(self._queue, self._compute, self._deliver), name=name, daemon=True
        )
        self._thread.start()

    async def tokenize(self, texts: Sequence[str], prompt: str, *, cut: bool) -> tuple[TokenBatch, Int32]:
        """Texts to tokens: few at once, many part by part, in turns with other requests.

        Args:
            texts: any texts.
            prompt: put before each.
            cut: whether texts that are too long are cut; else they are refused.

        Returns:
            The tokens, and how many each text had before it was cut, ``int32[n]``.

        Raises:
            TextError: a text is not one; its position is named.
            TruncationError: a text is too long, and is not to be cut.
        """
        if is_short(texts, prompt):
            tokens, count = self.embedder.tokenizer.tokenize(texts, prompt)
            if not cut:
                self._check_lengths(count, 0)
            return tokens, count
        batches: list[TokenBatch] = []
        counts: list[Int32] = []
        first = 0
        for part in parts(texts, PART):
            job = functools.partial(self.embedder.tokenizer.tokenize, part, prompt, first=first)
            tokens, count = await self.in_turn(functools.partial(_checked, job), sum(map(len, part)))
            if not cut:
                self._check_lengths(count, first)
            batches.append(tokens)
            counts.append(count)
            first += len(part)
        return TokenBatch.join(batches), np.concatenate(counts)

    def _check_lengths(self, counts: Int32, first: int) -> None:
        most = self.embedder.max_tokens
        if counts.max(initial=0) > most:
            found = (Truncation(texts=first) + Truncation.of(counts, most)).describe(most)
            raise TruncationError(f'{found}. Split them, or ask the server to cut them: "truncate": true.')

    async def in_turn(self, job: Callable[[Check], T], characters: int) -> T:
        """A job for the tokenizer. Who has many puts one after another, and so takes turns with others."""

        def timed(check: Check) -> T:
            start = time.perf_counter()
            try:
                return job(check)
            finally:
                self.figures.tokenized(time.perf_counter() - start)

        with self.figures.untokenized(characters):
            return await self._tokenizing.run(timed)

    async def run(self, tokens: TokenBatch, finish: Finish[Result]) -> Result:
        """Tokens to results, as :meth:`pellucid.encoder.encoder.Encoder.run`, with those of others in one call.

        Raises:
            QueueFullError, ServerStoppingError: the request was not taken.
            EngineFailedError: the arithmetic failed.
        """
        if not len(tokens):
            return self.embedder.encoder.run(tokens, finish)
        start = time.perf_counter()
        future: asyncio.Future[Result] = self._loop.create_future()
        request = QueuedRequest(tokens, finish, tag=future)
        self._queue.put(request, tokens_per_second=self.figures.tokens_per_second())
        try:
            result = await future
        except BaseException:
            self._queue.drop(request)
            raise
        self.figures.answered(time.perf_counter() - start)
        return result

    def waiting(self) -> tuple[int, int]:
        """How many requests wait, and how many tokens of them."""
        return self._queue.waiting()

    def close(self) -> None:
        """Take nothing more, and let the thread end when nothing waits; the weights go with the last reference."""
        self._queue.close()

    def _compute(self, shares: Sequence[Share]) -> list[Any]:
        self.busy = True
        parts = [(share.tokens, share.request.finish) for share in shares]
        with self._engine_free:
            start = time.perf_counter()
            results = self.embedder.encoder.run_together(parts)
            texts, tokens = (sum(map(len, counted)) for counted in ([t for t, _ in parts], [t.ids for t, _ in parts]))
            self.figures.call(texts, tokens, time.perf_counter() - start)
        return results

    def _deliver(self, answers: list[Answer]) -> None:
        self.busy = False
        if answers and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)


def is_short(texts: Sequence[str], prompt: str) -> bool:
    """Whether texts are tokenized on the event loop."""
    return sum(map(len, texts)) + len(texts) * len(prompt) <= _AT_ONCE


def _checked(tokenize: Callable[..., T], check: Check) -> T:
    return tokenize(check=check)


def parts(texts: Sequence[S], characters: int) -> Iterator[Sequence[S]]:
    """Texts, or lists of ids, in parts of so many characters or ids at most, or of a single longer one.

    >>> list(parts(["ab", "c", "defg", "h"], 3))
    [['ab', 'c'], ['defg'], ['h']]
    """
    start = length = 0
    for number, text in enumerate(texts):
        if number > start and length + len(text) > characters:
            yield texts[start:number]
            start, length = number, 0
        length += len(text)
    if start < len(texts):
        yield texts[start:]


def _settle(answers: list[Answer]) -> None:
    """On the event loop: each answer to the one who waits for it, unless they have left."""
    for answer in answers:
        future: asyncio.Future[Any] = answer.request.tag
        if future.done():
            continue
        if isinstance(answer.result, BaseException):
            problem = EngineFailedError("the model's arithmetic failed; the fault is the server's. Its log has more.")
            problem.__cause__ = answer.result
            future.set_exception(problem)
        else:
            future.set_result(answer.result)
