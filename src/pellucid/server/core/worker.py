"""A thread that does long work for the event loop, which stays free and can stop without waiting for the thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pellucid.errors import AbandonedError, UnexpectedError

T = TypeVar("T")
Check = Callable[[], None]
"""A function that long work calls often. It raises AbandonedError once nobody waits for the result."""


@dataclass(eq=False)
class _Job:
    work: Callable[[Check], Any]
    future: asyncio.Future[Any]
    on_end: Callable[[], object]
    abandoned: bool = False

    def check(self) -> None:
        if self.abandoned:
            raise AbandonedError("nobody is waiting for this result any more.")


class Worker:
    """Does jobs one after another, in the order in which they arrive. The thread starts with the first job.

    A task can split its work into short jobs and submit each one when the previous one has ended. It then takes turns
    with other tasks.

    Args:
        name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.busy = False

    async def run(self, work: Callable[[Check], T], *, on_end: Callable[[], object] = lambda: None) -> T:
        """Run ``work(check)`` in the thread, and return its result.

        Args:
            work: the job. It should call ``check`` often, which raises once nobody waits for the result. A job that is
                abandoned before it starts does not run at all.
            on_end: called on the event loop once the thread has left the job, whether it ran or not.

        Raises:
            UnexpectedError: ``work`` raised something other than an ``Exception``, such as a panic in a Rust library.
        """
        if self._thread is None:
            # A daemon thread does not keep the process from ending.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        job = _Job(work, asyncio.get_running_loop().create_future(), on_end)
        self._jobs.put(job)
        try:
            result: T = await job.future
        finally:
            job.abandoned = True
        return result

    def close(self) -> None:
        """Let the thread end once it has done its jobs."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            self.busy = True
            try:
                if not job.abandoned:
                    result = job.work(job.check)
            except Exception as caught:  # noqa: BLE001  Whoever awaits the job gets it.
                error = caught
            except BaseException as caught:  # noqa: BLE001  Here too, but as an error that any caller can handle.
                error = UnexpectedError(f"{type(caught).__name__} in {self._name}")
                error.__cause__ = caught
            self.busy = False
            with contextlib.suppress(RuntimeError):  # The loop may be closed.
                job.future.get_loop().call_soon_threadsafe(_settle, job, result, error)
            del job, result, error  # Otherwise they would stay in memory until the next job.


def _settle(job: _Job, result: Any, error: Exception | None) -> None:
    """Give a job's result or error to the task that awaits it, on the event loop."""
    job.on_end()
    if job.future.done():
        return
    if error is not None:
        job.future.set_exception(error)
    else:
        job.future.set_result(result)
