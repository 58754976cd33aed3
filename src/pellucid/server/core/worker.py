"""A thread that works for the event loop, so that long work stops neither the loop nor the process."""

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


@dataclass(eq=False)
class _Job:
    work: Callable[[Check], Any]
    future: asyncio.Future[Any]
    ended: Callable[[], object]
    left: bool = False

    def check(self) -> None:
        if self.left:
            raise AbandonedError("nobody waits for this any more.")


class Worker:
    """Does one job after another, in the order in which they came. The thread begins with the first.

    A long task that comes in short jobs, each put when the one before has ended, takes turns with other tasks.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.busy = False

    async def run(self, work: Callable[[Check], T], *, ended: Callable[[], object] = lambda: None) -> T:
        """The result of ``work(check)``, done in the thread.

        Args:
            work: calls ``check`` now and then, which raises once nobody waits any more. If nobody does before it
                begins, it is not begun.
            ended: called on the event loop once the thread has nothing to do with it any more.

        Raises:
            UnexpectedError: ``work`` raised what is no ``Exception``, such as a panic of a library in Rust.
        """
        if self._thread is None:
            # As a daemon, it keeps no process from ending.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        job = _Job(work, asyncio.get_running_loop().create_future(), ended)
        self._jobs.put(job)
        try:
            result: T = await job.future
        finally:
            job.left = True
        return result

    def close(self) -> None:
        """Let the thread end after the jobs that it has."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            self.busy = True
            try:
                if not job.left:
                    result = job.work(job.check)
            except Exception as problem:  # noqa: BLE001  The one who waits gets it.
                error = problem
            except BaseException as problem:  # noqa: BLE001  So does this one, but as an error that any code handles.
                error = UnexpectedError(f"{type(problem).__name__} in {self._name}")
                error.__cause__ = problem
            self.busy = False
            with contextlib.suppress(RuntimeError):  # The loop may be closed.
                job.future.get_loop().call_soon_threadsafe(_settle, job, result, error)
            del job, result, error  # Else they would stay until the next job comes.


def _settle(job: _Job, result: Any, error: Exception | None) -> None:
    job.ended()
    if job.future.done():
        return
    if error is not None:
        job.future.set_exception(error)
    else:
        job.future.set_result(result)
