"""The models of one server: loaded at the start or at their first request, and within a memory limit."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pellucid import catalog
from pellucid.embedder import Embedder
from pellucid.encoder.encoder import Encoder
from pellucid.errors import (
    MissingExtraError,
    ModelError,
    ModelNotLoadedError,
    ModelNotServedError,
    NoRoomForModelError,
    OptionError,
    WrongModelKindError,
)
from pellucid.model.load import load_spec
from pellucid.model.spec import ModelSpec
from pellucid.query_table import QueryTable
from pellucid.server.core.kinds import ASKED_KINDS, TASKS, Kind, ability, can, in_words, kind_of, other_route
from pellucid.server.core.metrics import Metrics, ModelMetrics
from pellucid.server.core.service import AnyTask, Service
from pellucid.server.core.worker import Worker
from pellucid.server.settings import Settings
from pellucid.sources import resolve
from pellucid.sources.files import ModelFiles
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.task import Task

logger = logging.getLogger("pellucid.server")


@dataclass(eq=False)
class _Entry:
    """A model that this server serves, loaded or not.

    Attributes:
        name: the name that clients use.
        source: the Hub name or folder to load it from.
        asked_kind: what it is to do; None for what its files say.
        kind: what it can do; None until its files are known.
        size: the bytes of its files, once they are known.
        users: how many requests keep it loaded now.
    """

    name: str
    source: str
    metrics: ModelMetrics
    asked_kind: Kind | None = None
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    kind: Kind | None = None
    service: Service[Any] | None = None
    size: int = 0
    users: int = 0
    last_used: float = 0.0

    def set_kind(self, kind: Kind) -> Kind:
        """Note the kind, and report it with the metrics. Returns it."""
        self.kind = kind
        self.metrics.set_kind(kind)
        return kind

    def kind_of(self, files: ModelFiles, spec: ModelSpec) -> Kind:
        """The kind that was asked for, or else that of the files."""
        return self.asked_kind or kind_of(files, spec)


@dataclass(frozen=True)
class State:
    """A model that is served.

    Attributes:
        name: its name.
        kind: its kind; None until its files are known.
        metrics: its metrics.
        service: its service; None while it is not loaded.
    """

    name: str
    kind: Kind | None
    metrics: ModelMetrics
    service: Service[Any] | None


class Models:
    """The models by name. Everything happens on the event loop, except the loading itself.

    Args:
        settings: which models to serve, and how.
        metrics: the server's metrics, to which each model adds its own.

    Raises:
        OptionError: two models or aliases have the same name, or an alias stands for a model that is not served.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._entries: dict[str, _Entry] = {}
        self._engine_lock = threading.Lock()
        self._load_lock = asyncio.Lock()
        self._load_worker = Worker("loading")
        self._tokenize_worker = Worker("tokenizing")
        tasks = itertools.zip_longest(settings.models, settings.served_names, settings.tasks)
        for source, own_name, task in tasks:
            name = own_name or served_name(source)
            if name in self._entries:
                raise OptionError(
                    f"two models would have the same name, {name!r}. Leave one out, or give them other names with "
                    f"--served-model-name."
                )
            entry = self._entries[name] = _Entry(name, source, ModelMetrics(metrics, name), ASKED_KINDS.get(task))
            known = None if Path(source).is_dir() else catalog.find(source)
            if kind := entry.asked_kind or (known and known.kind):
                entry.set_kind(kind)  # So it need not be downloaded only to learn what it is.
        self._aliases: dict[str, _Entry] = {}
        for alias, source in settings.aliases:
            self._add_alias(alias, source)

    def _add_alias(self, alias: str, source: str) -> None:
        entries = self._entries.values()
        # Its name counts most, then what it is loaded from, then the usual name of that, of which the first one.
        known = {served_name(each.source): each for each in reversed(entries)}
        known |= {each.source: each for each in entries} | self._entries
        entry = known.get(source) or known.get(served_name(source))
        if entry is None:
            raise OptionError(
                f"the alias {alias!r} stands for {source!r}, which this server does not serve. It serves "
                f"{_quoted(self._entries)}. Add --model {source}, or let the alias stand for one of these."
            )
        if alias in self._aliases or alias in self._entries or catalog.full_name(alias) in self._entries:
            owner = "another alias" if alias in self._aliases else "a model"
            raise OptionError(f"the alias {alias!r} is already the name of {owner}. Choose another name for it.")
        self._aliases[alias] = entry

    def names(self) -> list[str]:
        """The names of all models, the default one first."""
        return list(self._entries)

    def aliases(self) -> dict[str, str]:
        """The name of the model that each alias stands for."""
        return {alias: entry.name for alias, entry in self._aliases.items()}

    def is_alias(self, name: str | None) -> bool:
        """True if a request with this model name is answered by a model of another name."""
        return name in self._aliases

    def states(self) -> Iterator[State]:
        """The state of each model, the default one first."""
        for entry in self._entries.values():
            yield State(entry.name, entry.kind, entry.metrics, entry.service)

    def kinds(self) -> dict[str, Kind | None]:
        """The kind of each model by its name; None for those whose files are not known yet."""
        return {entry.name: entry.kind for entry in self._entries.values()}

    def find(self, name: str | None) -> State:
        """The state of a model. It does not load the model. None names the first model.

        Raises:
            ModelNotServedError: this server has no model of this name.
        """
        entry = self._entry(name)
        return State(entry.name, entry.kind, entry.metrics, entry.service)

    async def start(self) -> None:
        """Load all models.

        If each is to be loaded at its first request, this only learns the kinds of those that are on this machine.
        """
        for entry in self._entries.values():
            if self._settings.load == "start":
                await self._service(entry)
            else:
                with suppress(ModelError):  # Its first request gets the error, or fetches its files.
                    await self._learn_kind(entry, local_files_only=True)

    async def get(self, name: str | None, *tasks: type[AnyTask]) -> Service[AnyTask]:
        """A model, which is loaded if necessary.

        Args:
            name: its name; None for the first model that does the first of the tasks, or else the next.
            tasks: the tasks of which it must do one.

        Raises:
            ModelNotServedError: this server has no model of this name.
            WrongModelKindError: this model, or each model, is of a kind that does none of the tasks.
            NoRoomForModelError: there is not enough memory for it now.
            ModelNotLoadedError: it could not be loaded.
        """
        if name is None:
            entry = await self._first(tasks)
            with self._naming(entry, tasks):
                return cast("Service[AnyTask]", await self._service(entry))
        entry = self._entry(name)
        with self._naming(entry):
            kind = entry.kind or await self._learn_kind(entry)
            if not can(kind, *tasks):
                raise WrongModelKindError(f"the {in_words(kind)} {entry.name!r} cannot {self._who_can(tasks, [kind])}")
            return cast("Service[AnyTask]", await self._service(entry))

    async def _first(self, tasks: Sequence[type[Task]]) -> _Entry:
        for task in tasks:
            for entry in self._entries.values():
                # A model that cannot be loaded is not passed over: another model would give other vectors.
                with self._naming(entry, tasks):
                    kind = entry.kind or await self._learn_kind(entry)
                if can(kind, task):
                    return entry
        kinds = [entry.kind for entry in self._entries.values() if entry.kind]
        raise WrongModelKindError(f"this server has no model that can {self._who_can(tasks, kinds)}")

    @contextmanager
    def _naming(self, entry: _Entry, tasks: Sequence[type[Task]] = ()) -> Iterator[None]:
        """Name the model in the error if it cannot be loaded.

        If the request named none, the error names the other models that may do one of the ``tasks``.
        """
        try:
            yield
        except (ModelError, MissingExtraError) as error:
            message = f"the model {entry.name!r} could not be loaded. The server's log says why."
            others = [
                other.name
                for other in self._entries.values()
                if tasks and other is not entry and (other.kind is None or can(other.kind, *tasks))
            ]
            if others:
                message += f" Requests may name another model: {_quoted(others)}."
            raise ModelNotLoadedError(message) from error

    def _who_can(self, tasks: Sequence[type[Task]], kinds: Sequence[Kind]) -> str:
        """The end of a message: what models of these kinds cannot do, the models that can, and what these can do."""
        names = [entry.name for entry in self._entries.values() if entry.kind and can(entry.kind, *tasks)]
        advice = "Start the server with --model and the name of one that can."
        if names:
            advice = f"Models here that can: {_quoted(names)}."
        routes = dict.fromkeys(other_route(kind, *tasks) for kind in kinds)
        return " ".join([f"{ability(*tasks)}.", advice, *filter(None, routes)])

    async def _service(self, entry: _Entry) -> Service[Any]:
        entry.last_used = time.monotonic()
        if entry.service is None:
            async with entry.loading:
                if entry.service is None:
                    await self._load(entry)
        if entry.service is None:
            raise AssertionError("loading a model either succeeds or raises an error")
        return entry.service

    @contextmanager
    def keep_loaded(self, service: Service[Any]) -> Iterator[None]:
        """Keep a model loaded while a request uses it.

        Raises:
            NoRoomForModelError: the model was unloaded after the request got it.
        """
        entry = next((entry for entry in self._entries.values() if entry.service is service), None)
        if entry is None:
            raise NoRoomForModelError("the model was unloaded meanwhile to make room for another. Try again.")
        entry.users += 1
        try:
            yield
        finally:
            entry.users -= 1

    def close(self) -> None:
        """Let all threads end once they have done their work."""
        for entry in self._entries.values():
            if entry.service is not None:
                entry.service.close()
        self._load_worker.close()
        self._tokenize_worker.close()

    def is_busy(self) -> bool:
        """True if a thread is working."""
        services = [entry.service for entry in self._entries.values() if entry.service is not None]
        return self._load_worker.busy or self._tokenize_worker.busy or any(service.busy for service in services)

    def _entry(self, name: str | None) -> _Entry:
        if name is None:
            return next(iter(self._entries.values()))
        entry = self._entries.get(name) or self._aliases.get(name) or self._entries.get(catalog.full_name(name))
        if entry is None:
            names = _quoted([*self._entries, *self._aliases])
            raise ModelNotServedError(f"this server has no model {name[:200]!r}. It serves {names}.")
        return entry

    async def _load(self, entry: _Entry) -> None:
        # Load one model at a time, so that two do not count on the same room.
        async with self._load_lock:
            settings = self._settings
            start = time.perf_counter()
            if settings.memory is not None:
                files = await self._load_worker.run(lambda _: self._resolve(entry))
                entry.size = files.size()
                self._make_room(entry, settings.memory)
            task = await self._load_worker.run(lambda _: self._create(entry))
            # Responses contain the model's name. Clients must not learn which folder it is in.
            for encoder in encoders_of(task):
                encoder.spec = dataclasses.replace(encoder.spec, name=entry.name)
            kind = entry.set_kind(entry.kind_of(task.files, task.spec))
            entry.service = Service(
                task, kind, settings.limits, entry.metrics, self._engine_lock, self._tokenize_worker, entry.name
            )
            seconds = round(time.perf_counter() - start, 3)
            logger.info("loaded", extra={"model": entry.name, "kind": kind, "seconds": seconds})

    def _create(self, entry: _Entry) -> Task:
        """Load a model, in a thread."""
        settings = self._settings
        encoder = Encoder(
            entry.source,
            dtype=settings.dtype,
            device=settings.device,
            threads=settings.threads,
            cache_folder=settings.cache_folder,
            local_files_only=settings.local_files_only,
        )
        return TASKS[entry.kind_of(encoder.files, encoder.spec)](encoder, on_truncation="cut")

    async def _learn_kind(self, entry: _Entry, *, local_files_only: bool = False) -> Kind:
        """Find a model's files, and read from them which kind it is. Its weights are not loaded."""
        files = await self._load_worker.run(lambda _: self._resolve(entry, local_files_only=local_files_only))
        return entry.set_kind(entry.kind_of(files, await self._load_worker.run(lambda _: load_spec(files))))

    def _resolve(self, entry: _Entry, *, local_files_only: bool = False) -> ModelFiles:
        settings = self._settings
        return resolve.resolve(
            entry.source,
            cache_folder=settings.cache_folder,
            local_files_only=settings.local_files_only or local_files_only,
        )

    def _make_room(self, entry: _Entry, memory: int) -> None:
        """Unload idle models until ``entry`` fits, starting with the least recently used one.

        Raises:
            NoRoomForModelError: the models that are in use leave too little room.
        """
        loaded = [other for other in self._entries.values() if other.service is not None]
        idle = sorted((other for other in loaded if not other.users), key=lambda other: other.last_used)
        in_use = sum(other.size for other in loaded)
        while in_use + entry.size > memory and idle:
            unloaded = idle.pop(0)
            in_use -= unloaded.size
            if unloaded.service is not None:
                unloaded.service.close()
            unloaded.service = None
            logger.info("unloaded", extra={"model": unloaded.name})
        if in_use + entry.size > memory:
            raise NoRoomForModelError(
                f"the model {entry.name!r} needs {entry.size / 1e6:,.0f} MB, and models that are working use "
                f"{in_use / 1e6:,.0f} MB of the {memory / 1e6:,.0f} MB for all models. Try again later, or start the "
                f"server with more --memory."
            )


def encoders_of(task: Task) -> list[Encoder]:
    """The encoders of a model: one, or another one for queries too."""
    queries = task.for_queries if isinstance(task, Embedder | SparseEmbedder) else task
    if queries is task or isinstance(queries, QueryTable):
        return [task.encoder]
    return [task.encoder, queries.encoder]


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def served_name(source: str) -> str:
    """The name under which clients find a model: the full name on the Hub, or the last part of a folder's path.

    >>> served_name("all-MiniLM-L6-v2")
    'sentence-transformers/all-MiniLM-L6-v2'
    """
    folder = Path(source)
    return folder.resolve().name if folder.is_dir() else catalog.full_name(source)
