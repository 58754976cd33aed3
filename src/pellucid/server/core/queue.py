"""What waits for the engine, and what goes through it together: no HTTP here, and no event loop.

Requests that arrive while the engine works are joined into one call, up to a budget of tokens; a request that finds the
engine idle goes at once. A call takes a fair share of each waiting request before it takes more of any, oldest first,
so that a short request behind a huge one waits for the call at work and not for the huge one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.errors import QueueFullError, ServerStoppingError
from pellucid.layers.finish import Finish
from pellucid.types import TokenBatch


@dataclass(eq=False)
class QueuedRequest:
    """Texts that somebody waits for.

    Attributes:
        tokens: the texts.
        finish: what is made of each text's token vectors; texts with equal finishes go through the engine together.
        tag: whatever the one who put it needs to find the one who waits.
        taken: how many of the texts went into calls.
        counted: how many tokens it counts for in the queue while any of it waits.
    """

    tokens: TokenBatch
    finish: Finish[Any]
    tag: Any = None
    taken: int = field(default=0, init=False)
    counted: int = field(default=0, init=False)
    dropped: bool = field(default=False, init=False)
    _parts: list[Any] = field(default_factory=list, init=False)

    @property
    def tokens_left(self) -> int:
        """How many tokens no call has taken yet."""
        return int(self.tokens.offsets[-1] - self.tokens.offsets[self.taken])

    def add(self, part: Any, start: int, stop: int) -> None:
        """The result of some more of the texts."""
        self._parts.append((np.arange(start, stop), part))

    def result(self) -> Any:
        """All results that were added, as one."""
        return self._parts[0][1] if len(self._parts) == 1 else self.finish.in_order(self._parts)


@dataclass(frozen=True)
class Share:
    """The texts ``start`` to ``stop`` of a request, to go through the engine in this call."""

    request: QueuedRequest
    start: int
    stop: int

    @property
    def tokens(self) -> TokenBatch:
        """Those texts."""
        whole = self.request.tokens
        if self.start == 0 and self.stop == len(whole):
            return whole
        return whole.part(self.start, self.stop)


@dataclass(frozen=True)
class Answer:
    """What came of a request: what its finish makes of its texts, or an error."""

    request: QueuedRequest
    result: Any


class Queue:
    """Requests in the order of their arrival. Any thread may put and drop; one takes.

    Args:
        most_tokens: how many tokens may wait. One request counts for half of them at most, so that a huge one
            does not shut the others out; and what finds room is taken whole.
        tokens_per_call: how many tokens go through the engine together, or one longer text.
    """

    def __init__(self, *, most_tokens: int, tokens_per_call: int) -> None:
        self.most_tokens = most_tokens
        self.tokens_per_call = tokens_per_call
        self._waiting: dict[QueuedRequest, None] = {}  # A set that keeps the order.
        self._changed = threading.Condition()
        self._counted = 0
        self._closed = False

    def put(self, request: QueuedRequest, *, tokens_per_second: float = 0.0) -> None:
        """Let a request wait. It must have at least one text.

        Args:
            request: what is wanted.
            tokens_per_second: how fast the engine has been, for the advice in the error.

        Raises:
            QueueFullError: too much waits already.
            ServerStoppingError: the queue is closed.
        """
        with self._changed:
            if self._closed:
                raise ServerStoppingError("the server is stopping; ask another, or this one when it is back.")
            counted = min(len(request.tokens.ids), self.most_tokens // 2)
            if self._waiting and self._counted + counted > self.most_tokens:
                seconds = self._counted / 2 / tokens_per_second if tokens_per_second else 1
                raise QueueFullError(f"{self._counted:,} tokens", max(1, round(seconds)))
            request.counted = counted
            self._counted += counted
            self._waiting[request] = None
            self._changed.notify()

    def drop(self, request: QueuedRequest) -> None:
        """Nobody waits for this one any more: what no call has taken yet costs nothing."""
        with self._changed:
            request.dropped = True
            if request in self._waiting:
                self._remove(request)

    def take(self) -> list[Share] | None:
        """What goes through the engine next, of at least one request; waits for it. None once closed and empty."""
        with self._changed:
            while not self._waiting:
                if self._closed:
                    return None
                self._changed.wait()
            shares = choose(self._waiting, self.tokens_per_call)
            for share in shares:
                share.request.taken = share.stop
                if share.stop == len(share.request.tokens):
                    self._remove(share.request)
            return shares

    def _remove(self, request: QueuedRequest) -> None:
        del self._waiting[request]
        self._counted -= request.counted

    def close(self) -> None:
        """Take nothing more; what waits is still worked on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def waiting(self) -> tuple[int, int]:
        """How many requests wait, and how many tokens of them."""
        with self._changed:
            return len(self._waiting), sum(request.tokens_left for request in self._waiting)


def choose(waiting: Iterable[QueuedRequest], budget: int) -> list[Share]:
    """What goes through the engine together.

    First a fair share of each request, oldest first; then, while there is room, more of the oldest. At least one text,
    however long; else at most ``budget`` tokens.

    >>> three = TokenBatch.from_sequences([[1, 2, 3, 4]] * 3)
    >>> one = TokenBatch.from_sequences([[1, 2]])
    >>> requests = [QueuedRequest(three, EachToken()), QueuedRequest(one, EachToken())]
    >>> [(share.start, share.stop) for share in choose(requests, budget=10)]
    [(0, 2), (0, 1)]
    """
    requests = list(waiting)
    stops = [request.taken for request in requests]
    left = budget
    for limit in (max(1, budget // max(1, len(requests))), budget):
        for number, request in enumerate(requests):
            offsets, start = request.tokens.offsets, stops[number]
            allowed = offsets[start] + min(limit, left)
            stop = int(np.searchsorted(offsets, allowed, side="right")) - 1
            fits_alone = stop == start < len(request.tokens) and offsets[start + 1] - offsets[start] <= left
            if fits_alone or (left == budget and stop == start):
                stop = start + 1
            stop = min(stop, len(request.tokens))
            left -= int(offsets[stop] - offsets[start])
            stops[number] = stop
            if left <= 0:
                break
        if left <= 0:
            break
    return [Share(r, r.taken, stop) for r, stop in zip(requests, stops, strict=True) if stop > r.taken]


def work(
    queue: Queue,
    compute: Callable[[Sequence[Share]], list[Any]],
    deliver: Callable[[list[Answer]], object],
) -> None:
    """Take from a queue until it is closed and empty; every request that is not dropped gets one answer, its own.

    Args:
        queue: where requests wait.
        compute: the result of each share. What it raises is the answer to all requests of that call.
        deliver: takes the answers of a call. It must not raise.
    """
    while (shares := queue.take()) is not None:
        answers: list[Answer] = []
        try:
            parts = compute(shares)
        except BaseException as error:  # noqa: BLE001  Whatever it is, those who wait must hear of it, and work goes on.
            for share in shares:
                queue.drop(share.request)
                answers.append(Answer(share.request, error))
        else:
            for share, part in zip(shares, parts, strict=True):
                share.request.add(part, share.start, share.stop)
                if share.stop == len(share.request.tokens) and not share.request.dropped:
                    answers.append(Answer(share.request, share.request.result()))
        deliver(answers)
