"""One loaded model that works for many concurrent requests."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from pellucid.errors import EngineFailedError, TruncationError
from pellucid.layers.finish import Finish
from pellucid.server.core.kinds import Kind
from pellucid.server.core.metrics import ModelMetrics
from pellucid.server.core.queue import Outcome, Queue, QueuedRequest, RequestSlice, process_queue
from pellucid.server.core.worker import Check, Worker
from pellucid.server.settings import Limits
from pellucid.task import Task
from pellucid.text.truncation import Truncation
from pellucid.types import Int32, TokenBatch

_SHORT_CHARACTERS = 20_000
"""Up to this many characters are tokenized on the event loop, which takes some milliseconds. More go to a thread."""
PART_CHARACTERS = 50_000
"""How many characters of one request are tokenized before other requests get a turn."""
T = TypeVar("T")
S = TypeVar("S", bound=Sequence[Any])
Result = TypeVar("Result")
AnyTask = TypeVar("AnyTask", bound=Task)
Task_co = TypeVar("Task_co", bound=Task, covariant=True)


class Service(Generic[Task_co]):
    """One model, its queue, and the thread that works on the queue.

    Args:
        task: the model, with the task that its kind does. It must be made with ``on_truncation="cut"``, because each
            request decides here whether long texts are cut.
        kind: the model's kind.
        limits: how much may wait, and how many tokens go into one call.
        metrics: counts the work.
        engine_lock: held while the engine works, so that several models do not compete for the same CPU cores.
        tokenize_worker: the thread that tokenizes long texts, shared by all models.
        name: the model's name, as clients know it.
    """

    def __init__(
        self,
        task: Task_co,
        kind: Kind,
        limits: Limits,
        metrics: ModelMetrics,
        engine_lock: threading.Lock,
        tokenize_worker: Worker,
        name: str,
    ) -> None:
        self.task = task
        self.kind = kind
        self.metrics = metrics
        self.name = name
        self.busy = False
        self._engine_lock = engine_lock
        self._tokenize_worker = tokenize_worker
        self._queue = Queue(max_tokens=limits.waiting_tokens, tokens_per_call=limits.tokens_per_call)
        metrics.watch_queue(self._queue.count_waiting)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=process_queue, args=(self._queue, self._compute, self._deliver), name=name, daemon=True
        )
        self._thread.start()

    async def tokenize(self, texts: Sequence[str], prompt: str, *, cut: bool) -> tuple[TokenBatch, Int32]:
        """Turn texts into tokens: short ones at once, long ones in parts, in turns with other requests.

        Args:
            texts: the texts.
            prompt: goes before each text.
            cut: cut texts that are too long, instead of refusing them.

        Returns:
            The tokens, and how many each text had before it was cut, ``int32[n]``.

        Raises:
            TextError: a text cannot be used. The message gives its position.
            TruncationError: a text is too long and must not be cut.
        """
        if is_short(texts, prompt):
            tokens, counts = self.task.tokenizer.tokenize(texts, prompt)
            if not cut:
                self.check_lengths(counts)
            return tokens, counts
        batches: list[TokenBatch] = []
        all_counts: list[Int32] = []
        first = 0
        for part in split_parts(texts, PART_CHARACTERS):
            job = functools.partial(self.task.tokenizer.tokenize, part, prompt, first=first)
            tokens, counts = await self.run_in_tokenizer(functools.partial(_call, job), sum(map(len, part)))
            if not cut:
                self.check_lengths(counts, first)
            batches.append(tokens)
            all_counts.append(counts)
            first += len(part)
        return TokenBatch.join(batches), np.concatenate(all_counts)

    async def tokenize_plain(self, texts: Sequence[str]) -> list[Int32]:
        """Turn texts into tokens without special tokens, ``int32[n]`` for each, in turns with other requests.

        See :meth:`pellucid.text.tokenizer.Tokenizer.tokenize_plain`.
        """
        tokenize = self.task.tokenizer.tokenize_plain
        if is_short(texts, ""):
            return tokenize(texts)
        found: list[Int32] = []
        for part in split_parts(texts, PART_CHARACTERS):
            job = functools.partial(_call, functools.partial(tokenize, part))
            found += await self.run_in_tokenizer(job, sum(map(len, part)))
        return found

    def check_lengths(self, counts: Int32, first: int = 0, *, unit: str = "text") -> None:
        """Refuse texts with more tokens than the model reads.

        Args:
            counts: ``int32[n]``, how many tokens each text has.
            first: the position of the first text, for the message.
            unit: what the message calls a text.

        Raises:
            TruncationError: a text is too long.
        """
        max_tokens = self.task.max_tokens
        if counts.max(initial=0) > max_tokens:
            found = Truncation(texts=first) + Truncation.from_counts(counts, max_tokens, unit)
            advice = "Split these texts" if unit == "text" else "Shorten the texts of these pairs"
            raise TruncationError(f'{found.describe(max_tokens)}. {advice}, or send "truncate": true to have them cut.')

    async def run_in_tokenizer(self, job: Callable[[Check], T], characters: int) -> T:
        """Run a job in the tokenizer's thread, and return its result.

        A request with much work submits one short job after another, and so takes turns with other requests.

        Args:
            job: the work; see :meth:`Worker.run`.
            characters: how many characters it works on, for the metrics.
        """

        def measured(check: Check) -> T:
            start = time.perf_counter()
            try:
                return job(check)
            finally:
                self.metrics.count_tokenizing(time.perf_counter() - start)

        with self.metrics.count_characters(characters):
            return await self._tokenize_worker.run(measured)

    async def run(self, tokens: TokenBatch, finish: Finish[Result]) -> Result:
        """Compute the results of texts, as :meth:`pellucid.encoder.encoder.Encoder.run` does.

        Other requests may share the same call of the engine.

        Raises:
            QueueFullError, ServerStoppingError: the queue does not accept the request.
            EngineFailedError: the engine failed.
        """
        if not len(tokens):
            return self.task.encoder.run(tokens, finish)
        start = time.perf_counter()
        future: asyncio.Future[Result] = self._loop.create_future()
        request = QueuedRequest(tokens, finish, tag=future)
        self._queue.put(request, tokens_per_second=self.metrics.tokens_per_second())
        try:
            result = await future
        except BaseException:
            self._queue.drop(request)
            raise
        self.metrics.count_request(time.perf_counter() - start)
        return result

    def count_waiting(self) -> tuple[int, int]:
        """How many requests wait, and how many of their tokens no call has taken yet."""
        return self._queue.count_waiting()

    def close(self) -> None:
        """Accept no more requests, and let the thread end once nothing waits.

        The weights stay in memory until nothing refers to this service any more.
        """
        self._queue.close()

    def _compute(self, slices: Sequence[RequestSlice]) -> list[Any]:
        self.busy = True
        parts = [(chosen.tokens, chosen.request.finish) for chosen in slices]
        with self._engine_lock:
            start = time.perf_counter()
            results = self.task.encoder.run_requests(parts)
            text_count = sum(len(tokens) for tokens, _ in parts)
            token_count = sum(len(tokens.ids) for tokens, _ in parts)
            self.metrics.count_call(text_count, token_count, time.perf_counter() - start)
        return results

    def _deliver(self, outcomes: list[Outcome]) -> None:
        self.busy = False
        if outcomes and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, outcomes)


def is_short(texts: Sequence[str], prompt: str) -> bool:
    """True if these texts are tokenized on the event loop."""
    return sum(map(len, texts)) + len(texts) * len(prompt) <= _SHORT_CHARACTERS


def _call(tokenize: Callable[..., T], check: Check) -> T:
    return tokenize(check=check)


def split_parts(texts: Sequence[S], max_length: int) -> Iterator[Sequence[S]]:
    """Split texts, or lists of ids, into parts.

    Each part has at most ``max_length`` characters or ids together, or a single longer text or list.

    >>> list(split_parts(["ab", "c", "defg", "h"], 3))
    [['ab', 'c'], ['defg'], ['h']]
    """
    start = length = 0
    for number, text in enumerate(texts):
        if number > start and length + len(text) > max_length:
            yield texts[start:number]
            start, length = number, 0
        length += len(text)
    if start < len(texts):
        yield texts[start:]


def _settle(outcomes: list[Outcome]) -> None:
    """Give each outcome to the task that awaits it, on the event loop."""
    for outcome in outcomes:
        future: asyncio.Future[Any] = outcome.request.tag
        if future.done():  # The task was cancelled.
            continue
        if outcome.error is not None:
            error = EngineFailedError("the model's engine failed. This is the server's fault; its log says more.")
            error.__cause__ = outcome.error
            future.set_exception(error)
        else:
            future.set_result(outcome.result)
