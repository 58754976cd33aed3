"""What the routes of one server share: its models, limits, memory budget and threads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from fastapi import Request

from pellucid.errors import QueueFullError, RequestTimeoutError, plural
from pellucid.server.core.budget import Budget, Reservation
from pellucid.server.core.metrics import Metrics
from pellucid.server.core.models import Models
from pellucid.server.core.service import AnyTask, Service
from pellucid.server.core.worker import Check, Worker
from pellucid.server.http.connections import Connections
from pellucid.server.http.errors import client_left
from pellucid.server.settings import Settings

T = TypeVar("T")
_WATCH_DELAY_SECONDS = 0.05
"""After this time we start to watch whether the client is still there. Most requests are answered sooner."""
_VIEW_RETRY_SECONDS = 5

RESERVATION, CONNECTION, DEADLINE = "pellucid.reservation", "pellucid.connection", "pellucid.deadline"
MODEL_KIND = "pellucid.model_kind"
"""Keys of a request's scope: its memory reservation, its connection, its deadline, and the kind of its model.

The deadline is a pair: the event loop's time at which it ends, and how many seconds the request had in all.
"""


@dataclass(eq=False)
class Serving:
    """Everything that a running server has. Each app has one.

    Attributes:
        settings: the server's settings.
        metrics: the server's metrics.
        models: the models that it serves.
        draining: True while the server is stopping and answers only the requests that it has accepted.
        started_at: when it started, by ``time.monotonic``.
        budget: the memory of all requests.
        connections: all connections.
        json_worker: the thread that parses long bodies, does long work on results, and writes long responses.
        view_worker: the thread that makes views.
    """

    settings: Settings
    metrics: Metrics
    models: Models
    draining: bool = False
    started_at: float = field(default_factory=time.monotonic)
    json_worker: Worker = field(default_factory=lambda: Worker("parsing"))
    view_worker: Worker = field(default_factory=lambda: Worker("viewing"))
    _view_turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _view_count: int = 0

    def __post_init__(self) -> None:
        self.budget = Budget(self.settings.limits.request_bytes)
        self.connections = Connections(self.settings.limits, self.budget, self.metrics)
        self.metrics.request_memory_limit.set(self.budget.limit)
        self.metrics.request_memory.set_function(lambda: self.budget.in_use)
        self.metrics.connections.set_function(lambda: len(self.connections.open))

    async def make_view(self, request: Request, make: Callable[[Check], T], *, memory: int = 0) -> T:
        """Make a view in a thread. Views take long, so the server makes one after another.

        Args:
            request: the request for the view.
            make: makes the view.
            memory: how many bytes it takes. They are reserved until the thread has ended.

        Raises:
            QueueFullError: too many views are waiting.
            RequestMemoryFullError, RequestTooLargeError: there is not enough memory for it.
            RequestTimeoutError: it took too long.
        """
        if self._view_count >= self.settings.limits.views:
            raise QueueFullError(plural(self._view_count, "view"), _VIEW_RETRY_SECONDS)
        self._view_count += 1
        try:
            return await wait_or_cancel(request, self._make_in_turn(make, memory))
        finally:
            self._view_count -= 1

    async def _make_in_turn(self, make: Callable[[Check], T], memory: int) -> T:
        await self._view_turn.acquire()
        reservation = self.budget.reservation()

        def end_turn() -> None:
            reservation.release()
            self._view_turn.release()

        try:
            reservation.take(memory)
        except BaseException:
            end_turn()
            raise
        # A thread cannot be stopped. So the next view starts once this one has ended, even if nobody waits for it.
        return await self.view_worker.run(make, on_end=end_turn)

    def close(self) -> None:
        """Let all threads end."""
        self.models.close()
        self.json_worker.close()
        self.view_worker.close()

    def is_busy(self) -> bool:
        """True if a thread is working."""
        return self.json_worker.busy or self.view_worker.busy or self.models.is_busy()


def serving_of(request: Request) -> Serving:
    """The :class:`Serving` of the server that got this request."""
    return cast("Serving", request.app.state.serving)


async def find_service(request: Request, name: str | None, *tasks: type[AnyTask]) -> Service[AnyTask]:
    """The model for a request, as :meth:`Models.get` finds it. The log will say which kind it is."""
    service = await serving_of(request).models.get(name, *tasks)
    request.scope[MODEL_KIND] = service.kind
    return service


def reservation_of(request: Request) -> Reservation:
    """The memory reservation of this request."""
    return cast("Reservation", request.scope[RESERVATION])


async def work_in_thread(request: Request, work: Callable[[], T]) -> T:
    """Do long work that the event loop has no time for. Returns its result.

    Raises:
        RequestError, RequestTimeoutError: as :func:`wait_or_cancel`.
    """
    return await wait_or_cancel(request, serving_of(request).json_worker.run(lambda _: work()))


async def wait_or_cancel(request: Request, work: Awaitable[T]) -> T:
    """Wait for ``work``, and cancel it if the client leaves or the request's time is over.

    Returns:
        The result of ``work``.

    Raises:
        RequestError: the client has left.
        RequestTimeoutError: the request's time is over.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    has_left = is_late = False
    deadline, seconds = request.scope.get(DEADLINE, (None, 0.0))
    watcher: asyncio.Task[None] | None = None

    async def watch_client() -> None:
        nonlocal has_left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        has_left = True
        if task is not None:
            task.cancel()

    def cancel_late() -> None:
        nonlocal is_late
        is_late = True
        if task is not None:
            task.cancel()

    def start_watching() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch_client())

    timers = [loop.call_later(_WATCH_DELAY_SECONDS, start_watching)]
    if deadline is not None:
        timers.append(loop.call_at(deadline, cancel_late))
    try:
        return await work
    except asyncio.CancelledError:
        if (has_left or is_late) and task is not None and not task.uncancel():
            raise (client_left() if has_left else RequestTimeoutError(seconds)) from None
        raise
    finally:
        for timer in timers:
            timer.cancel()
        if watcher is not None:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher
