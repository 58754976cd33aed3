"""All connections of a server: how many there may be, and a check every second for those that are too slow."""

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
"""A connection that has been idle for longer may be closed to make room for a new one."""


class Connections:
    """What the connections of one server share.

    Attributes:
        limits: the limits of this server.
        budget: the memory of all requests.
        open: the open connections. Uvicorn keeps this set up to date.
        total: how many connections there have been.
    """

    def __init__(self, limits: Limits, budget: Budget, metrics: Metrics) -> None:
        self.limits = limits
        self.budget = budget
        self.open: set[Any] = set()
        self.total = 0
        self._metrics = metrics

    def protocol_factory(self) -> Callable[..., Protocol]:
        """A function that makes the protocol of a new connection, for uvicorn."""
        from pellucid.server.http.protocol import Protocol

        return functools.partial(Protocol, self)

    def count_refusal(self, reason: str | None) -> None:
        """Count a refused request or connection."""
        self._metrics.refused.labels(reason or "other").inc()

    def make_room(self) -> bool:
        """Close the connection that has been idle longest, if there are too many.

        Returns:
            False if there are too many connections and none of them is idle.
        """
        if len(self.open) <= self.limits.connections:
            return True
        now = asyncio.get_running_loop().time()
        idle = [
            connection
            for connection in self.open
            if connection.is_idle()
            and now - connection.last_active > _IDLE_SECONDS
            and not connection.transport.is_closing()
        ]
        if not idle:
            return False
        min(idle, key=lambda connection: connection.last_active).transport.close()
        return True

    async def watch(self) -> None:
        """Check all connections every second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            now = loop.time()
            for connection in list(self.open):
                connection.end_if_slow(now)
