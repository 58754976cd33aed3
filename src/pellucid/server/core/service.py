"""One loaded model that works for many concurrent requests."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.errors import EngineFailedError, TruncationError
from pellucid.layers.finish import Finish
from pellucid.query_table import QueryTable
from pellucid.server.core.kinds import Kind
from pellucid.server.core.metrics import ModelMetrics
from pellucid.server.core.queue import Outcome, Queue, QueuedRequest, RequestSlice, process_queue
from pellucid.server.core.worker import Check, Worker
from pellucid.server.settings import Limits
from pellucid.task import Task
from pellucid.text.tokenizer import Tokenizer
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

    async def tokenize(
        self, texts: Sequence[str], prompt: str, *, cut: bool, tokenizer: Tokenizer | QueryTable | None = None
    ) -> tuple[TokenBatch, Int32]:
        """Turn texts into tokens: short ones at once, long ones in parts, in turns with other requests.

        Args:
            texts: the texts.
            prompt: goes before each text.
            cut: cut texts that are too long, instead of refusing them.
            tokenizer: what cuts the texts into tokens, if it is not the model's usual tokenizer.

        Returns:
            The tokens, and how many each text had before it was cut, ``int32[n]``.

        Raises:
            TextError: a text cannot be used. The message gives its position.
            TruncationError: a text is too long and must not be cut.
        """
        tokenizer = self.task.tokenizer if tokenizer is None else tokenizer
        max_tokens = tokenizer.max_tokens
        if is_short(texts, prompt):
            tokens, counts = tokenizer.tokenize(texts, prompt)
            if not cut:
                check_lengths(counts, max_tokens)
            return tokens, counts
        batches: list[TokenBatch] = []
        all_counts: list[Int32] = []
        first = 0
        for part in split_parts(texts, PART_CHARACTERS):
            job = functools.partial(tokenizer.tokenize, part, prompt, first=first)
            tokens, counts = await self.run_in_tokenizer(functools.partial(_call, job), sum(map(len, part)))
            if not cut:
                check_lengths(counts, max_tokens, first)
            batches.append(tokens)
            all_counts.append(counts)
            first += len(part)
        return TokenBatch.join(batches), np.concatenate(all_counts)

    async def tokenize_plain(self, texts: Sequence[str]) -> TokenBatch:
        """Turn texts into tokens without special tokens, in turns with other requests.

        See :meth:`pellucid.text.tokenizer.Tokenizer.tokenize_plain`.
        """
        tokenize = self.task.tokenizer.tokenize_plain
        if is_short(texts, ""):
            return tokenize(texts)
        batches: list[TokenBatch] = []
        for part in split_parts(texts, PART_CHARACTERS):
            job = functools.partial(_call, functools.partial(tokenize, part))
            batches.append(await self.run_in_tokenizer(job, sum(map(len, part))))
        return TokenBatch.join(batches)

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

    async def run(
        self, tokens: TokenBatch, finish: Finish[Result], encoder: Encoder | None = None, *, is_part: bool = False
    ) -> Result:
        """Compute the results of texts, as :meth:`pellucid.encoder.encoder.Encoder.run` does.

        Other requests may share the same call of the engine.

        Args:
            tokens: the texts.
            finish: turns each text's token vectors into its result.
            encoder: the encoder of the texts, if it is not the task's: some models have another one for queries.
            is_part: True if the caller counts the request, of which this is a part.

        Raises:
            QueueFullError, ServerStoppingError: the queue does not accept the request.
            EngineFailedError: the engine failed.
        """
        if not len(tokens):
            return self.task.encoder.run(tokens, finish)
        start = time.perf_counter()
        future: asyncio.Future[Result] = self._loop.create_future()
        request = QueuedRequest(tokens, finish, encoder, tag=future)
        self._queue.put(request, tokens_per_second=self.metrics.tokens_per_second())
        try:
            result = await future
        except BaseException:
            self._queue.drop(request)
            raise
        if not is_part:
            self.metrics.count_request(time.perf_counter() - start)
        return result

    def look_up(self, tokens: TokenBatch, work: Callable[[], T]) -> T:
        """Do work that needs no engine, for the texts of a request, and count them."""
        start = time.perf_counter()
        result = work()
        self.metrics.count_texts(len(tokens), len(tokens.ids))
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
        by_encoder: dict[Encoder, list[RequestSlice]] = {}
        for chosen in slices:
            by_encoder.setdefault(chosen.request.encoder or self.task.encoder, []).append(chosen)
        results: dict[RequestSlice, Any] = {}
        with self._engine_lock:
            for encoder, together in by_encoder.items():
                parts = [(chosen.tokens, chosen.request.finish) for chosen in together]
                start = time.perf_counter()
                results |= zip(together, encoder.run_requests(parts), strict=True)
                text_count = sum(len(tokens) for tokens, _ in parts)
                token_count = sum(len(tokens.ids) for tokens, _ in parts)
                self.metrics.count_call(text_count, token_count, time.perf_counter() - start)
        return [results[chosen] for chosen in slices]

    def _deliver(self, outcomes: list[Outcome]) -> None:
        self.busy = False
        if outcomes and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, outcomes)


def check_lengths(counts: Int32, max_tokens: int, first: int = 0, *, unit: str = "text") -> None:
    """Refuse texts with more tokens than the model reads.

    Args:
        counts: ``int32[n]``, how many tokens each text has.
        max_tokens: how many the model reads.
        first: the position of the first text, for the message.
        unit: what the message calls a text.

    Raises:
        TruncationError: a text is too long.
    """
    if counts.max(initial=0) > max_tokens:
        found = Truncation(texts=first) + Truncation.from_counts(counts, max_tokens, unit)
        advice = "Shorten the texts of these pairs" if unit == "pair" else "Split these texts"
        raise TruncationError(f'{found.describe(max_tokens)}. {advice}, or send "truncate": true to have them cut.')


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
