"""The models of one server: loaded at the start or when first asked for, and within a bound of memory."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pellucid import catalog
from pellucid.embedder import Embedder
from pellucid.errors import ModelNotServedError, NoRoomForModelError, OptionError
from pellucid.server.core.metrics import Metrics, ModelMetrics
from pellucid.server.core.service import Service
from pellucid.server.core.worker import Worker
from pellucid.server.settings import Settings
from pellucid.sources import resolve

logger = logging.getLogger("pellucid.server")


@dataclass(eq=False)
class _Entry:
    """A model that is served, loaded or not."""

    name: str
    wanted: str
    figures: ModelMetrics
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    service: Service | None = None
    size: int = 0
    users: int = 0
    last_used: float = 0.0


@dataclass(frozen=True)
class State:
    """What is told of a model: its name, its figures, and what it is at work with, or None while it is not loaded."""

    name: str
    figures: ModelMetrics
    service: Service | None


class Models:
    """The models by name. All of it happens on the event loop, but for the loading itself.

    Args:
        settings: which, and how.
        metrics: what their figures are part of.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._entries: dict[str, _Entry] = {}
        self._engine_free = threading.Lock()
        self._room = asyncio.Lock()
        self._loading = Worker("loading")
        self._tokenizing = Worker("tokenizing")
        for wanted in settings.models:
            name = served_name(wanted)
            if name in self._entries:
                raise OptionError(f"two models are to be served as {name!r}; leave one out, or rename its folder.")
            self._entries[name] = _Entry(name, wanted, ModelMetrics(metrics, name))

    def names(self) -> list[str]:
        """Under which names they are served, the default one first."""
        return list(self._entries)

    def states(self) -> Iterator[State]:
        """Each in turn."""
        for entry in self._entries.values():
            yield State(entry.name, entry.figures, entry.service)

    def find(self, name: str | None) -> State:
        """What is known of a model, without loading it; the errors of :meth:`get`."""
        entry = self._entry(name)
        return State(entry.name, entry.figures, entry.service)

    async def start(self) -> None:
        """Load what is to be loaded at the start."""
        if self._settings.load == "start":
            for name in self._entries:
                await self.get(name)

    async def get(self, name: str | None) -> Service:
        """The model of this name, loaded; None is the first one.

        Raises:
            ModelNotServedError: there is none of this name.
            NoRoomForModelError: there is no room for it now.
            ModelError: it could not be loaded.
        """
        entry = self._entry(name)
        entry.last_used = time.monotonic()
        if entry.service is None:
            async with entry.loading:
                if entry.service is None:
                    await self._load(entry)
        if entry.service is None:
            raise AssertionError("a model is loaded, or that it cannot be is an error")
        return entry.service

    @contextmanager
    def used(self, service: Service) -> Iterator[None]:
        """While a request is at work, its model is not unloaded.

        Raises:
            NoRoomForModelError: it was, since the request got it.
        """
        entry = next((entry for entry in self._entries.values() if entry.service is service), None)
        if entry is None:
            raise NoRoomForModelError("the model had to make room for another meanwhile. Ask again.")
        entry.users += 1
        try:
            yield
        finally:
            entry.users -= 1

    def close(self) -> None:
        """Let each model's thread end."""
        for entry in self._entries.values():
            if entry.service is not None:
                entry.service.close()
        self._loading.close()
        self._tokenizing.close()

    def busy(self) -> bool:
        """Whether a thread is at work."""
        services = [entry.service for entry in self._entries.values() if entry.service is not None]
        return self._loading.busy or self._tokenizing.busy or any(service.busy for service in services)

    def _entry(self, name: str | None) -> _Entry:
        if name is None:
            return next(iter(self._entries.values()))
        found = self._entries.get(name) or self._entries.get(catalog.full_name(name))
        if found is None:
            served = ", ".join(map(repr, self._entries))
            raise ModelNotServedError(f"the model {name[:200]!r} is not served here. Served: {served}.")
        return found

    async def _load(self, entry: _Entry) -> None:
        # One at a time, so that two do not count on the same room.
        async with self._room:
            settings = self._settings
            start = time.perf_counter()
            if settings.memory is not None:
                files = await self._loading.run(
                    lambda _: resolve.resolve(
                        entry.wanted, cache_folder=settings.cache_folder, local_files_only=settings.local_files_only
                    )
                )
                entry.size = files.size()
                self._make_room(entry, settings.memory)
            embedder = await self._loading.run(
                lambda _: Embedder(
                    entry.wanted,
                    dtype=settings.dtype,
                    device=settings.device,
                    threads=settings.threads,
                    cache_folder=settings.cache_folder,
                    local_files_only=settings.local_files_only,
                    on_truncation="ignore",
                )
            )
            # What is said of it goes to clients, who need not know in which folder it lies.
            embedder.encoder.spec = dataclasses.replace(embedder.spec, name=entry.name)
            entry.service = Service(
                embedder, settings.limits, entry.figures, self._engine_free, self._tokenizing, entry.name
            )
            logger.info("loaded", extra={"model": entry.name, "seconds": round(time.perf_counter() - start, 3)})

    def _make_room(self, entry: _Entry, memory: int) -> None:
        """Unload idle models, the one that was not asked for longest first, until there is room."""
        loaded = [other for other in self._entries.values() if other.service is not None]
        idle = sorted((other for other in loaded if not other.users), key=lambda other: other.last_used)
        taken = sum(other.size for other in loaded)
        while taken + entry.size > memory and idle:
            leaving = idle.pop(0)
            taken -= leaving.size
            if leaving.service is not None:
                leaving.service.close()
            leaving.service = None
            logger.info("unloaded", extra={"model": leaving.name})
        if taken + entry.size > memory:
            raise NoRoomForModelError(
                f"the model {entry.name!r} takes {entry.size / 1e6:,.0f} MB, and of the {memory / 1e6:,.0f} MB for all "
                f"{taken / 1e6:,.0f} MB are at work. Try again later, or start the server with more --memory."
            )


def served_name(wanted: str) -> str:
    """The name that clients ask for: of a model of the Hub its full name, of a folder its last part.

    >>> served_name("all-MiniLM-L6-v2")
    'sentence-transformers/all-MiniLM-L6-v2'
    """
    folder = Path(wanted)
    return folder.resolve().name if folder.is_dir() else catalog.full_name(wanted)
