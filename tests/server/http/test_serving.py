from __future__ import annotations

import asyncio
import threading

import pytest

from pellucid.errors import RequestError
from pellucid.server.core.metrics import Metrics
from pellucid.server.http.bodies import read_body
from pellucid.server.http.inputs import EmbeddingsBody
from pellucid.server.http.serving import Serving
from pellucid.server.settings import Settings


class Client:
    """A request whose client leaves when ``left`` is set."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.scope: dict[str, object] = {}

    async def receive(self):
        await self.left.wait()
        return {"type": "http.disconnect"}


def test_views_are_made_one_at_a_time_even_if_a_client_has_left():
    running, counts, may_end = 0, [], threading.Event()

    def make(_):
        nonlocal running
        running += 1
        counts.append(running)
        may_end.wait(60)
        running -= 1
        return "made"

    async def ask():
        serving = Serving(Settings(models=("m",)), Metrics(), None)
        first, second = Client(), Client()
        views = [asyncio.create_task(serving.make_view(client, make)) for client in (first, second)]
        while not counts:
            await asyncio.sleep(0.01)
        first.left.set()
        with pytest.raises(RequestError, match="closed the connection"):
            await views[0]
        await asyncio.sleep(0.1)
        may_end.set()
        assert await views[1] == "made"

    asyncio.run(ask())
    assert counts == [1, 1]


def test_a_view_is_not_made_if_its_client_leaves_before_its_turn():
    made, may_end = [], threading.Event()

    def make(number):
        may_end.wait(60)
        made.append(number)

    async def ask():
        serving = Serving(Settings(models=("m",)), Metrics(), None)
        clients = [Client() for _ in range(3)]
        views = [asyncio.create_task(serving.make_view(c, lambda _, n=n: make(n))) for n, c in enumerate(clients)]
        clients[1].left.set()
        with pytest.raises(RequestError, match="closed the connection"):
            await views[1]
        may_end.set()
        await asyncio.gather(views[0], views[2])

    asyncio.run(ask())
    assert made == [0, 2]


def test_a_client_that_leaves_in_the_middle_of_a_body_is_not_a_server_error():
    from fastapi import Request

    parts = iter([{"type": "http.request", "body": b'{"inp', "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(parts)

    with pytest.raises(RequestError) as caught:
        asyncio.run(read_body(Request({"type": "http"}, receive), EmbeddingsBody))
    assert caught.value.status == 499
