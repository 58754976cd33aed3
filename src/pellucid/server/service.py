"""A model at work: texts in, and vectors out, for many who ask at once."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from pellucid import head, pooling
from pellucid.embedder import Embedder
from pellucid.errors import PellucidError, TruncationError
from pellucid.server.figures import Figures
from pellucid.server.queue import Answer, Options, Queue, Request, Share, work
from pellucid.server.settings import Limits
from pellucid.truncation import Truncation
from pellucid.types import Float32, TokenBatch

_AT_ONCE = 20_000
"""So many characters are tokenized on the event loop, in some milliseconds; more, in a thread of their own."""


class TimedOutError(PellucidError):
    """The vectors were not there in time."""


class EngineError(PellucidError):
    """The engine failed, which it should not; the log has the details."""


class Service:
    """One model, its queue, and the thread that takes from it.

    Args:
        embedder: the model, made with ``on_truncation="ignore"``: what is cut is told by whoever asks here.
        limits: how much may wait, and how long.
        figures: what is told of the work.
        engine_free: held while the engine works, so that several models do not fight for the same processors.
    """

    def __init__(self, embedder: Embedder, limits: Limits, figures: Figures, engine_free: threading.Lock) -> None:
        self.embedder = embedder
        self.figures = figures
        self._limits = limits
        self._engine_free = engine_free
        self._queue = Queue(most_tokens=limits.waiting_tokens, tokens_per_call=limits.tokens_per_call)
        figures.watch(self._queue.waiting)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=work, args=(self._queue, self._compute, self._deliver), name=embedder.model_name, daemon=True
        )
        self._thread.start()

    async def tokenize(
        self, texts: Sequence[str], prompt: str, *, cut: bool, told: Callable[[Truncation], object]
    ) -> TokenBatch:
        """Texts to tokens.

        Args:
            texts: any texts.
            prompt: put before each.
            cut: whether texts that are too long are cut; else they are refused.
            told: hears what was cut.

        Raises:
            TextError: a text is not one; its position is named.
            TruncationError: a text is too long, and is not to be cut.
        """
        tokenize = self.embedder.tokenizer.tokenize
        if sum(map(len, texts)) + len(texts) * len(prompt) <= _AT_ONCE:
            tokens, counts = tokenize(texts, prompt)
        else:
            tokens, counts = await asyncio.to_thread(tokenize, texts, prompt)
        truncation = Truncation.of(counts, self.embedder.max_tokens)
        if truncation.cut and not cut:
            raise TruncationError(
                f"{truncation.describe(self.embedder.max_tokens)}. Split them, or ask the server to cut them: "
                f'"truncate": true.'
            )
        told(truncation)
        return tokens

    async def vectors(self, tokens: TokenBatch, options: Options) -> Float32:
        """Tokens to vectors: a row for each text, or for each token if ``options.pooled`` is false.

        Raises:
            QueueFullError, QueueClosedError: the request was not taken.
            TimedOutError: it took longer than ``limits.seconds``.
            EngineError: the arithmetic failed.
        """
        if not len(tokens):
            width = self.embedder.spec.encoder.hidden_size if not options.pooled else self.embedder.dimensions
            return np.empty((0, options.truncate_dim or width), dtype=np.float32)
        start = time.perf_counter()
        future: asyncio.Future[Float32] = self._loop.create_future()
        request = Request(tokens, options, tag=future)
        self._queue.put(request, tokens_per_second=self.figures.tokens_per_second())
        timer = self._loop.call_later(self._limits.seconds, _time_out, future, self._limits.seconds)
        try:
            rows = await future
        except BaseException:
            self._queue.drop(request)
            raise
        finally:
            timer.cancel()
        self.figures.answered(time.perf_counter() - start)
        return rows

    def waiting(self) -> tuple[int, int]:
        """How many requests wait, and how many tokens of them."""
        return self._queue.waiting()

    def close(self) -> None:
        """Take nothing more, and let the thread end when nothing waits; the weights go with the last reference."""
        self._queue.close()

    def _compute(self, shares: Sequence[Share]) -> list[Float32]:
        batches = [share.tokens for share in shares]
        joined = batches[0] if len(batches) == 1 else _join(batches)
        with self._engine_free:
            start = time.perf_counter()
            token_vectors = self.embedder.engine.token_vectors(joined)
            parts = self._finish(shares, joined, token_vectors)
            self.figures.call(len(joined), len(joined.ids), time.perf_counter() - start)
        return parts

    def _finish(self, shares: Sequence[Share], joined: TokenBatch, token_vectors: Float32) -> list[Float32]:
        """Pooling and what follows it; neighbours with the same options together, because each call has its cost."""
        spec = self.embedder.spec
        parts: list[Float32] = []
        first = 0
        for options, neighbours in itertools.groupby(shares, key=lambda share: share.request.options):
            counts = [share.stop - share.start for share in neighbours]
            offsets = joined.offsets[first : first + sum(counts) + 1]
            ends = np.cumsum(counts)[:-1]
            rows = token_vectors[offsets[0] : offsets[-1]]
            offsets = offsets - offsets[0]
            if options.pooled:
                pooled = pooling.pool(rows, offsets, spec.pooling, options.prompt_tokens)
                rows = head.finish(pooled, spec.head, options.normalize, options.truncate_dim)
            parts += np.split(rows, ends if options.pooled else offsets[ends])
            first += sum(counts)
        return parts

    def _deliver(self, answers: list[Answer]) -> None:
        if answers and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, answers)


def _join(batches: Sequence[TokenBatch]) -> TokenBatch:
    """The texts of several batches in one, in order."""
    before = np.cumsum([0, *(len(batch.ids) for batch in batches)], dtype=np.int32)
    starts = [batch.offsets[:-1] + start for batch, start in zip(batches, before, strict=False)]
    return TokenBatch(np.concatenate([batch.ids for batch in batches]), np.concatenate([*starts, before[-1:]]))


def _settle(answers: list[Answer]) -> None:
    """On the event loop: each answer to the one who waits for it, unless they have left."""
    for answer in answers:
        future: asyncio.Future[Float32] = answer.request.tag
        if future.done():
            continue
        if isinstance(answer.result, Exception):
            problem = EngineError("the model's arithmetic failed, which is an error of the server; its log has more.")
            problem.__cause__ = answer.result
            future.set_exception(problem)
        else:
            future.set_result(answer.result)


def _time_out(future: asyncio.Future[Float32], seconds: float) -> None:
    if not future.done():
        future.set_exception(
            TimedOutError(f"the vectors were not there within {seconds:g} s. Send less at a time, or try again later.")
        )
