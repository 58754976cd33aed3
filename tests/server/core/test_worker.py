from __future__ import annotations

import asyncio
import threading

import pytest

from pellucid.errors import AbandonedError, UnexpectedError
from pellucid.server.core.worker import Worker


class Panic(BaseException):
    """Like pyo3's PanicException, which is not an Exception."""


def test_a_panic_becomes_an_error_and_the_thread_goes_on():
    async def ask():
        worker = Worker("tested")
        with pytest.raises(UnexpectedError) as caught:
            await worker.run(lambda _: (_ for _ in ()).throw(Panic("secret")))
        assert isinstance(caught.value.__cause__, Panic)
        assert "secret" not in str(caught.value)
        assert await worker.run(lambda _: 3) == 3
        worker.close()

    asyncio.run(ask())


def test_abandoned_work_is_stopped_or_never_started():
    begun, seen, may_go_on = threading.Event(), [], threading.Event()

    def long(check):
        begun.set()
        may_go_on.wait(60)
        try:
            check()
        except AbandonedError:
            seen.append("ended")
            raise

    async def ask():
        worker = Worker("tested")
        ended = []
        tasks = [asyncio.create_task(worker.run(long, on_end=lambda: ended.append("first")))]
        await asyncio.to_thread(begun.wait, 10)
        tasks.append(
            asyncio.create_task(worker.run(lambda _: seen.append("begun"), on_end=lambda: ended.append("2nd")))
        )
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert not ended
        may_go_on.set()
        assert await worker.run(lambda _: "next") == "next"
        assert ended == ["first", "2nd"]
        worker.close()

    asyncio.run(ask())
    assert seen == ["ended"]


def test_a_long_task_in_short_jobs_takes_turns_with_others():
    order = []

    async def task(worker, name, jobs):
        for _ in range(jobs):
            await worker.run(lambda _: order.append(name))

    async def ask():
        worker = Worker("tested")
        await asyncio.gather(task(worker, "long", 50), task(worker, "short", 2))
        worker.close()

    asyncio.run(ask())
    assert max(place for place, name in enumerate(order) if name == "short") < 6
