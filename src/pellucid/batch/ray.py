"""The same job on a cluster: Ray, which is imported here and nowhere else.

The driver surveys the input and hands out parts. Each actor has the model, and its output is the same to the last bit
as a single machine's. When an actor or a node dies, other actors do its parts again.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.batch import parts
from pellucid.batch.embedding import PACKED_BITS, check_output_dtype
from pellucid.batch.parts import Done, Part
from pellucid.embedder import Embedder
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.engines.dtypes import AUTO
from pellucid.engines.registry import check_options
from pellucid.errors import BatchError, MissingExtraError, OptionError
from pellucid.reranker import Reranker
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.tables.arrow import Table, vector_column, with_nulls
from pellucid.task import Task

if TYPE_CHECKING:
    from pellucid.batch.plan import Plan

_ROWS_PER_BATCH = 4096


@dataclass(frozen=True)
class Model:
    """How an actor loads the model.

    Attributes:
        name: the model's name, or a folder that every node has.
        dtype: as for :class:`~pellucid.embedder.Embedder`.
        engine: as there.
        device: as there.
        threads: how many threads each actor uses.
        max_tokens: the limit that the driver set; None for the model's own.
        fingerprint: what the results must depend on; an actor that finds anything else refuses to work. None to accept
            whatever it finds.
        task: makes the task.
    """

    name: str
    dtype: str
    engine: str
    device: str
    threads: int
    max_tokens: int | None = None
    fingerprint: Fingerprint | None = None
    task: Callable[..., Task] = Embedder

    def load(self) -> Any:
        """Load the model.

        Raises:
            BatchError: this node's model files differ from the driver's, or its engine does.
        """
        model = self.task(
            self.name,
            dtype=self.dtype,
            engine=self.engine,
            device=self.device,
            threads=self.threads,
            max_tokens=self.max_tokens,
            on_truncation="cut",
        )
        if (expected := self.fingerprint) is not None:
            found = Fingerprint.of(model.encoder, expected.prompt, expected.options or {}, expected.task)
            if (difference := expected.difference(found)) is not None:
                what, fix = f"a different {difference}", "Set up every node in the same way."
                if difference == "model":
                    what, fix = "different files", "Install the same model files on every node."
                raise BatchError(f"one node of the cluster has {what} for {self.name} than the job's driver. {fix}")
        return model


@dataclass(frozen=True)
class Cluster:
    """Does the parts of a job in Ray actors. Give it to :func:`pellucid.batch.runner.run` as ``executor``.

    Every node must find the input and the job's folder under the same path.

    Attributes:
        address: the address of a running cluster; None starts one on this machine, for this job.
        actors: how many actors; None for as many as there is room for.
        cpus: the cores of an actor; a fraction shares a core.
        device: "cpu", or "cuda" to give each actor a GPU.
        threads: how many each actor uses; None for its whole cores.
    """

    address: str | None = None
    actors: int | None = None
    cpus: float = 1.0
    device: str = "cpu"
    threads: int | None = None

    def __call__(self, plan: Plan, model: Task, advance: Callable[[int, int], object]) -> Iterator[Done]:
        """Do each part of ``plan.todo``, in any order.

        Raises:
            BatchError: there is no such cluster, or it could not do the job.
        """
        if not plan.todo:
            return
        engine, files = model.engine, model.files
        loaded = Model(
            name=files.name if files.source != "folder" else str(files.folder.resolve()),
            dtype=engine.dtype,
            engine=engine.name,
            device=self.device,
            threads=self.threads or max(1, int(self.cpus)),
            max_tokens=model.encoder.own_max_tokens,
            fingerprint=plan.options.fingerprint(model, device=self.device),
            task=_constructor(model),
        )
        with _connected(self.address) as ray:
            actors = self.actors or _actors_with_room(ray, self.cpus, self.device)
            numbers = ray.data.from_items(
                [{"part": number} for number in range(len(plan.todo))], override_num_blocks=len(plan.todo)
            )
            done = numbers.map_batches(
                _PartActor,
                fn_constructor_args=(plan, loaded),
                batch_size=1,
                **_actor_options(ray, min(actors, len(plan.todo)), self.cpus, self.device),
            )
            for row in done.iter_rows():
                part = plan.todo[row.pop("part")]
                advance(part.stop - part.start, row["tokens"])
                yield Done(**row)


def _constructor(model: Task) -> Callable[..., Task]:
    """What makes the same task from the name of its model."""
    if isinstance(model, Reranker):
        return functools.partial(type(model), activation=model.activation)
    if isinstance(model, SparseEmbedder):
        return functools.partial(type(model), max_active_dims=model.max_active_dims)
    return type(model)


class _PartActor:
    """An actor that does whole parts, from input file to output file."""

    def __init__(self, plan: Plan, model: Model) -> None:
        self._plan = plan
        self._model = model.load()
        self._reader = plan.reader()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        plan = self._plan
        rows = [{"part": int(number), **asdict(self._do(plan.todo[number]))} for number in batch["part"]]
        return {key: np.array([row[key] for row in rows]) for key in rows[0]}

    def _do(self, part: Part) -> Done:
        options = self._plan.options
        prepared = parts.prepare(part, self._reader, self._model, options)
        results = parts.compute(prepared, self._model, options)
        return parts.write(prepared, results, self._model, options, self._plan.ranges, self._plan.folder)


def embed_dataset(
    dataset: Any,
    *,
    column: str = "text",
    vector_column: str = "vector",
    model: str = "all-MiniLM-L6-v2",
    dtype: str = "float32",
    output_dtype: str = "float32",
    prompt_name: str | None = None,
    prompt: str | None = None,
    normalize: bool | None = None,
    truncate_dim: int | None = None,
    actors: int | None = None,
    cpus: float = 1.0,
    device: str = "cpu",
    threads: int | None = None,
) -> Any:
    """Add a column of vectors to a Ray ``Dataset``.

    Args:
        dataset: a ``ray.data.Dataset`` whose ``column`` has texts. A null gets a null for its vector.
        column: the column of texts.
        vector_column: the name of the new column: ``fixed_size_list`` of ``d`` float32 or float16 numbers, or bytes for
            "binary" and "ubinary".
        model: the model's name, or a folder that every node has.
        dtype: the arithmetic, as for :class:`~pellucid.embedder.Embedder`, but not "auto".
        output_dtype: "float32", "float16", "binary" or "ubinary".
        prompt_name: as for :meth:`~pellucid.embedder.Embedder.embed_documents`.
        prompt: as there.
        normalize: as there.
        truncate_dim: as there.
        actors: the number of actors; None for as many as the cluster has room for.
        cpus: how many cores each actor reserves.
        device: "cpu", or "cuda" to give each actor a GPU.
        threads: how many threads each actor uses; None for ``cpus`` rounded down, but at least 1.

    Returns:
        A ``ray.data.Dataset``. Nothing is computed until it is consumed.

    Raises:
        OptionError: an option's value cannot be used.
        MissingExtraError: the extra ``batch`` is not installed.
    """
    ray = _ray()
    check_output_dtype(output_dtype, exclude=("int8",))
    if dtype == AUTO:
        raise OptionError("dtype='auto' may mean different dtypes on different nodes. Name one.", "dtype")
    check_options("auto", dtype=dtype, device="cpu", threads=threads)  # Only the nodes know whether they have a GPU.
    loaded = Model(model, dtype, "auto", device, threads or max(1, int(cpus)))
    options = {
        "prompt_name": prompt_name,
        "prompt": prompt,
        "normalize": normalize,
        "truncate_dim": truncate_dim,
        "output_dtype": output_dtype,
    }
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    return dataset.map_batches(
        _DatasetActor,
        fn_constructor_args=(loaded, column, vector_column, options),
        batch_size=_ROWS_PER_BATCH,
        batch_format="pyarrow",
        **_actor_options(ray, actors or _actors_with_room(ray, cpus, device), cpus, device),
    )


class _DatasetActor:
    """An actor that adds a column of vectors to Arrow tables."""

    def __init__(self, model: Model, column: str, vector_column: str, options: dict[str, Any]) -> None:
        self._embedder = model.load()
        self._column, self._vector_column, self._options = column, vector_column, options

    def __call__(self, table: Table) -> Table:
        if self._column not in table.column_names:
            names = ", ".join(map(repr, table.column_names))
            raise BatchError(
                f"the dataset has no column {self._column!r}; its columns are {names}. Choose one with column=."
            )
        if self._vector_column in table.column_names:
            raise BatchError(
                f"the dataset has a column {self._vector_column!r} already. Choose another with vector_column=."
            )
        texts = table.column(self._column).to_pylist()
        places = [place for place, text in enumerate(texts) if text is not None]
        vectors = self._embedder.embed_documents([texts[place] for place in places], **self._options)
        column = vector_column(vectors, packed_bits=self._options["output_dtype"] in PACKED_BITS)
        if len(places) < len(texts):
            row_of = {place: row for row, place in enumerate(places)}
            column = with_nulls(column, [row_of.get(place) for place in range(len(texts))])
        return table.append_column(self._vector_column, column)


def _actor_options(ray: Any, actors: int, cpus: float, device: str) -> dict[str, Any]:
    """The arguments of ``map_batches`` that say which actors do the work."""
    resources: dict[str, Any] = {"num_cpus": cpus}
    if device != "cpu":
        resources["num_gpus"] = 1
    # A part takes seconds, so it is enough if one more waits at each actor.
    return {"compute": ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2), **resources}


def _actors_with_room(ray: Any, cpus: float, device: str) -> int:
    """How many actors the cluster has room for."""
    resources = ray.cluster_resources()
    return max(1, int(resources.get("CPU", 1) / cpus) if device == "cpu" else int(resources.get("GPU", 1)))


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, and turn its errors into ours."""
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # A cluster that we start reports to nobody.
        how: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **how)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise BatchError(f"no Ray cluster answers at {how['address']!r} ({_reason(error)}).") from error
    try:
        # Whoever started the job shows its progress.
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield ray
    except ray.exceptions.RayError as error:
        raise BatchError(
            f"the cluster could not do the job ({_reason(error)}). Every finished file is intact. Run the same "
            f"command again: it continues."
        ) from error
    finally:
        if ours:
            ray.shutdown()


def _reason(error: BaseException) -> str:
    """What went wrong. A message may be an actor's whole traceback: take our own error from it, or its first line."""
    ours: list[str] = re.findall(r"^pellucid\.errors\.\w+: (.+)$", str(error), re.MULTILINE)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return [*ours, *lines, type(error).__name__][0]


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "batch") from error
    return ray
