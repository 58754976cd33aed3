"""The queue of requests that wait for an engine, and the choice of what goes through it in one call.

It knows nothing of HTTP or the event loop. Requests that arrive while the engine works are joined into one call, up to
a number of tokens. A request that finds the engine idle starts at once. A call takes a fair share of each waiting
request, oldest first, before it takes more of any. So a short request behind a huge one waits only for the current
call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.errors import QueueFullError, ServerStoppingError, plural
from pellucid.layers.finish import Finish
from pellucid.types import TokenBatch


@dataclass(eq=False)
class QueuedRequest:
    """The tokenized texts of one request, and the results so far.

    Attributes:
        tokens: the texts.
        finish: turns each text's token vectors into its result. Texts with equal finishes go through the engine
            together.
        encoder: what the texts go through; None for the queue's usual one.
        tag: any object by which the sender recognizes the request.
        taken: how many of the texts have gone into calls.
        counted_tokens: queue capacity, in tokens, reserved by this request until its last text is taken.
        dropped: True if nobody waits for the result any more.
    """

    tokens: TokenBatch
    finish: Finish[Any]
    encoder: Encoder | None = None
    tag: Any = None
    taken: int = field(default=0, init=False)
    counted_tokens: int = field(default=0, init=False)
    dropped: bool = field(default=False, init=False)
    _parts: list[Any] = field(default_factory=list, init=False)

    @property
    def tokens_left(self) -> int:
        """How many tokens no call has taken yet."""
        return int(self.tokens.offsets[-1] - self.tokens.offsets[self.taken])

    def add(self, part: Any, start: int, stop: int) -> None:
        """Store the result of the texts from ``start`` to ``stop``."""
        self._parts.append((np.arange(start, stop), part))

    def result(self) -> Any:
        """All stored results, joined into one."""
        return self.finish.merge(self._parts, len(self.tokens))


@dataclass(frozen=True)
class RequestSlice:
    """The texts ``start`` to ``stop`` of a request, which go through the engine in one call."""

    request: QueuedRequest
    start: int
    stop: int

    @property
    def tokens(self) -> TokenBatch:
        """The tokens of these texts."""
        batch = self.request.tokens
        if self.start == 0 and self.stop == len(batch):
            return batch
        return batch.part(self.start, self.stop)


@dataclass(frozen=True)
class Outcome:
    """A request, and its result or, if that failed, the error.

    Attributes:
        request: the request.
        result: its result; None if it failed.
        error: what stopped it; None if it has a result.
    """

    request: QueuedRequest
    result: Any = None
    error: BaseException | None = None


class Queue:
    """Requests in the order in which they arrived. Any thread may put and drop requests; one thread takes them.

    Args:
        max_tokens: how many tokens may wait. One request counts for at most half of them, so that a huge request does
            not shut out the others. A request that finds room is accepted whole.
        tokens_per_call: how many tokens go through the engine in one call. A longer text goes alone.
    """

    def __init__(self, *, max_tokens: int, tokens_per_call: int) -> None:
        self.max_tokens = max_tokens
        self.tokens_per_call = tokens_per_call
        self._waiting: dict[QueuedRequest, None] = {}  # A set that keeps the order of arrival.
        self._changed = threading.Condition()
        self._counted_tokens = 0
        self._closed = False

    def put(self, request: QueuedRequest, *, tokens_per_second: float = 0.0) -> None:
        """Add a request to the end of the queue.

        Args:
            request: it must have at least one text.
            tokens_per_second: how fast the engine has been. The error uses it to say when to try again.

        Raises:
            QueueFullError: too many tokens are waiting.
            ServerStoppingError: the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise ServerStoppingError("the server is stopping. Use another server, or try again later.")
            counted = min(len(request.tokens.ids), self.max_tokens // 2)
            if self._waiting and self._counted_tokens + counted > self.max_tokens:
                seconds = self._counted_tokens / 2 / tokens_per_second if tokens_per_second else 1
                raise QueueFullError(plural(self._counted_tokens, "token"), max(1, round(seconds)))
            request.counted_tokens = counted
            self._counted_tokens += counted
            self._waiting[request] = None
            self._changed.notify()

    def drop(self, request: QueuedRequest) -> None:
        """Forget a request that nobody waits for any more. Texts that no call has taken will not be computed."""
        with self._changed:
            request.dropped = True
            if request in self._waiting:
                self._remove(request)

    def take(self) -> list[RequestSlice] | None:
        """The slices for the next call. Waits until there is a request; None once the queue is closed and empty."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            slices = choose_slices(self._waiting, self.tokens_per_call)
            for chosen in slices:
                chosen.request.taken = chosen.stop
                if chosen.stop == len(chosen.request.tokens):
                    self._remove(chosen.request)
            return slices

    def _remove(self, request: QueuedRequest) -> None:
        del self._waiting[request]
        self._counted_tokens -= request.counted_tokens

    def close(self) -> None:
        """Accept no more requests. Those that wait are still computed."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def count_waiting(self) -> tuple[int, int]:
        """How many requests wait, and how many of their tokens no call has taken yet."""
        with self._changed:
            return len(self._waiting), sum(request.tokens_left for request in self._waiting)


def choose_slices(waiting: Iterable[QueuedRequest], max_tokens: int) -> list[RequestSlice]:
    """Choose what goes through the engine in one call.

    It takes a fair share of each request, oldest first. While there is room, it then takes more of the oldest. The
    call has at most ``max_tokens`` tokens, or a single longer text.

    >>> from pellucid.layers.finish import EachToken
    >>> three = TokenBatch.from_sequences([[1, 2, 3, 4]] * 3)
    >>> one = TokenBatch.from_sequences([[1, 2]])
    >>> requests = [QueuedRequest(three, EachToken()), QueuedRequest(one, EachToken())]
    >>> [(chosen.start, chosen.stop) for chosen in choose_slices(requests, max_tokens=10)]
    [(0, 2), (0, 1)]
    """
    requests = list(waiting)
    stops = [request.taken for request in requests]
    left = max_tokens
    for limit in (max(1, max_tokens // max(1, len(requests))), max_tokens):
        for number, request in enumerate(requests):
            offsets, start = request.tokens.offsets, stops[number]
            allowed = offsets[start] + min(limit, left)
            stop = int(np.searchsorted(offsets, allowed, side="right")) - 1
            fits_alone = stop == start < len(request.tokens) and offsets[start + 1] - offsets[start] <= left
            if fits_alone or (left == max_tokens and stop == start):
                stop = start + 1
            stop = min(stop, len(request.tokens))
            left -= int(offsets[stop] - offsets[start])
            stops[number] = stop
            if left <= 0:
                break
        if left <= 0:
            break
    return [
        RequestSlice(request, request.taken, stop)
        for request, stop in zip(requests, stops, strict=True)
        if stop > request.taken
    ]


def process_queue(
    queue: Queue,
    compute: Callable[[Sequence[RequestSlice]], list[Any]],
    deliver: Callable[[list[Outcome]], object],
) -> None:
    """Compute requests until the queue is closed and empty. Each request gets one outcome, unless it is dropped.

    Args:
        queue: the waiting requests.
        compute: returns the result of each slice. If it raises, all requests of that call get the error.
        deliver: takes the outcomes of a call. It must not raise.
    """
    while (slices := queue.take()) is not None:
        outcomes: list[Outcome] = []
        try:
            parts = compute(slices)
        except BaseException as error:  # noqa: BLE001  Whoever waits must get the error, and the thread must go on.
            for failed in slices:
                queue.drop(failed.request)
                outcomes.append(Outcome(failed.request, error=error))
        else:
            for done, part in zip(slices, parts, strict=True):
                done.request.add(part, done.start, done.stop)
                if done.stop == len(done.request.tokens) and not done.request.dropped:
                    outcomes.append(Outcome(done.request, done.request.result()))
        deliver(outcomes)
