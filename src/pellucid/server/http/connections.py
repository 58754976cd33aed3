"""All connections of a server: how many there may be, and a look at each once a second for those that take too long."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pellucid.server.core.budget import Budget
from pellucid.server.core.metrics import Metrics
from pellucid.server.settings import Limits

if TYPE_CHECKING:
    from pellucid.server.http.protocol import Protocol

_IDLE_SECONDS = 0.25
"""A connection on which nothing was asked for so long makes room for a new one."""


class Connections:
    """What the connections of one server share.

    Attributes:
        limits: what is allowed.
        budget: the memory of all requests.
        open: the connections that there are; uvicorn keeps this set.
        opened: how many there were in all.
    """

    def __init__(self, limits: Limits, budget: Budget, metrics: Metrics) -> None:
        self.limits = limits
        self.budget = budget
        self.open: set[Any] = set()
        self.opened = 0
        self._metrics = metrics

    def protocol(self) -> Callable[..., Protocol]:
        """What makes the protocol of a new connection, for uvicorn."""
        from pellucid.server.http.protocol import Protocol

        return functools.partial(Protocol, self)

    def refused(self, reason: str | None) -> None:
        """Count what was refused."""
        self._metrics.refused.labels(reason or "other").inc()

    def has_room(self) -> bool:
        """Whether one connection more may stay; the one that was idle for longest makes room if need be."""
        if len(self.open) <= self.limits.connections:
            return True
        now = asyncio.get_running_loop().time()
        idle = [
            one
            for one in self.open
            if one.idle() and now - one.since > _IDLE_SECONDS and not one.transport.is_closing()
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one.since).transport.close()
        return True

    async def watch(self) -> None:
        """Look at all of them, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            now = loop.time()
            for one in list(self.open):
                one.look(now)
