from __future__ import annotations

import asyncio
import threading

import pytest

from pellucid.errors import RequestError
from pellucid.server.core.metrics import Metrics
from pellucid.server.http.bodies import read
from pellucid.server.http.inputs import EmbeddingsBody
from pellucid.server.http.serving import Serving
from pellucid.server.settings import Settings


class Client:
    """A request whose client leaves when it is told to."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.scope: dict[str, object] = {}

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}


def test_views_are_made_one_at_a_time_even_if_who_asked_has_left():
    at_work, together, may_end = 0, [], threading.Event()

    def make(_):
        nonlocal at_work
        at_work += 1
        together.append(at_work)
        may_end.wait(60)
        at_work -= 1
        return "made"

    async def ask():
        serving = Serving(Settings(models=("m",)), Metrics(), None)
        first, second = Client(), Client()
        asked = [asyncio.create_task(serving.view(client, make)) for client in (first, second)]
        while not together:
            await asyncio.sleep(0.01)
        first.left.set()
        with pytest.raises(RequestError, match="has left"):
            await asked[0]
        await asyncio.sleep(0.1)
        may_end.set()
        assert await asked[1] == "made"

    asyncio.run(ask())
    assert together == [1, 1]


def test_a_view_of_who_leaves_before_its_turn_is_not_made():
    made, may_end = [], threading.Event()

    def make(number):
        may_end.wait(60)
        made.append(number)

    async def ask():
        serving = Serving(Settings(models=("m",)), Metrics(), None)
        clients = [Client() for _ in range(3)]
        asked = [asyncio.create_task(serving.view(c, lambda _, n=n: make(n))) for n, c in enumerate(clients)]
        clients[1].left.set()
        with pytest.raises(RequestError, match="has left"):
            await asked[1]
        may_end.set()
        await asyncio.gather(asked[0], asked[2])

    asyncio.run(ask())
    assert made == [0, 2]


def test_who_leaves_in_the_middle_of_a_body_is_no_failure_of_ours():
    from fastapi import Request

    parts = iter([{"type": "http.request", "body": b'{"inp', "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(parts)

    with pytest.raises(RequestError) as told:
        asyncio.run(read(Request({"type": "http"}, receive), EmbeddingsBody))
    assert told.value.status == 499
