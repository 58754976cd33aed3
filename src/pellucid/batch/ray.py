"""The same job on a cluster: Ray, which is imported here and nowhere else.

The driver surveys the input and hands out parts; each actor has the model, and does a part as this machine would: the
same files, to the bit. An actor or a node that dies costs the parts that it had, which another does again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.batch import parts as stages
from pellucid.batch.parts import Done, Part
from pellucid.batch.survey import PartReader
from pellucid.embedder import Embedder
from pellucid.engines.registry import check_options
from pellucid.errors import BatchError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from pellucid.batch.runner import Plan

_ROWS_PER_BATCH = 4096


@dataclass(frozen=True)
class Model:
    """How an actor makes its embedder: what of the driver's decides the numbers, and what is the actor's own.

    Attributes:
        name: of the model, or a folder that every node has.
        digest: of its files; an actor that finds others refuses to work.
        dtype, engine, device: as :class:`~pellucid.embedder.Embedder` takes them.
        threads: of each actor.
    """

    name: str
    digest: str
    dtype: str
    engine: str
    device: str
    threads: int

    def load(self) -> Embedder:
        """The embedder of an actor."""
        embedder = Embedder(
            self.name,
            dtype=self.dtype,  # type: ignore[arg-type]
            engine=self.engine,  # type: ignore[arg-type]
            device=self.device,
            threads=self.threads,
            on_truncation="ignore",
        )
        if self.digest and embedder.digest != self.digest:
            raise BatchError(f"a node of the cluster has other files of {self.name} than the one that began the job.")
        return embedder


@dataclass(frozen=True)
class Cluster:
    """The actors of Ray that embed the parts, each with the model. Give it to :func:`pellucid.batch.runner.run` as
    ``engine``.

    The input and the job's folder must be where every node finds them, under the same path.

    Attributes:
        address: of a cluster that runs; None starts one on this machine, for this job.
        actors: how many; None, as many as have room.
        cpus: of an actor; a fraction, to share a core.
        device: "cpu", or "cuda" for a GPU to each actor.
        threads: of each actor; None, its whole cores.
    """

    address: str | None = None
    actors: int | None = None
    cpus: float = 1.0
    device: str = "cpu"
    threads: int | None = None

    def __call__(self, plan: Plan, embedder: Embedder, told: Callable[[int, int], object]) -> Iterator[Done]:
        """Do each part of ``plan.todo``, in any order.

        Raises:
            BatchError: there is no such cluster, or it could not do the job.
        """
        if not plan.todo:
            return
        dtype = embedder.engine.dtype
        engine = embedder.engine.name
        name = embedder.files.name if embedder.files.source != "folder" else str(embedder.files.folder.resolve())
        threads = self.threads or max(1, int(self.cpus))
        model = Model(name, embedder.digest, dtype, engine, self.device, threads)
        with _connected(self.address) as ray:
            count = self.actors or _room(ray, self.cpus, self.device)
            parts = ray.data.from_items(
                [{"part": number} for number in range(len(plan.todo))], override_num_blocks=len(plan.todo)
            )
            done = parts.map_batches(
                _PartsDone,
                fn_constructor_args=(plan, model),
                batch_size=1,
                **_pool(ray, min(count, len(plan.todo)), self.cpus, self.device),
            )
            for row in done.iter_rows():
                part = plan.todo[row.pop("part")]
                told(part.stop - part.start, row["tokens"])
                yield Done(**row)


class _PartsDone:
    """An actor: whole parts, from file to file."""

    def __init__(self, plan: Plan, model: Model) -> None:
        self._plan = plan
        self._embedder = model.load()
        self._reader = PartReader(plan.survey.schema, plan.options.text_column)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        plan = self._plan
        rows = [{"part": int(number), **asdict(self._do(plan.todo[number]))} for number in batch["part"]]
        return {key: np.array([row[key] for row in rows]) for key in rows[0]}

    def _do(self, part: Part) -> Done:
        options = self._plan.options
        prepared = stages.prepare(part, self._reader, self._embedder, options)
        vectors = stages.embed(prepared, self._embedder, options)
        return stages.write(prepared, vectors, options, self._plan.ranges, self._plan.folder)


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
    """A Ray ``Dataset`` with a column of vectors more.

    Args:
        dataset: a ``ray.data.Dataset`` whose ``column`` has texts. A null has a null for its vector.
        column: where the texts are.
        vector_column: where their vectors go: ``fixed_size_list<float>[d]``, or bytes for "binary" and "ubinary".
        model: a name, or a folder that every node has.
        dtype: of the arithmetic.
        output_dtype: "float32", "float16", "binary" or "ubinary".
        prompt_name: as for :meth:`~pellucid.embedder.Embedder.embed_documents`.
        prompt: likewise.
        normalize: likewise.
        truncate_dim: likewise.
        actors: how many; None, as many as the cluster has room for.
        cpus: of an actor.
        device: "cpu", or "cuda" for a GPU to each actor.
        threads: of each actor; None, its whole cores.

    Returns:
        A ``ray.data.Dataset``; nothing is computed until it is consumed.

    Raises:
        OptionError: an option's value cannot be served.
        MissingExtraError: the extra ``batch`` is not installed.
    """
    ray = _ray()
    from pellucid.batch.runner import check_output

    check_output(output_dtype, without=("int8",))
    check_options("auto", dtype=dtype, device="cpu", threads=threads)  # Where a GPU is, only the nodes know.
    loaded = Model(model, "", dtype, "auto", device, threads or max(1, int(cpus)))
    how = {
        "prompt_name": prompt_name,
        "prompt": prompt,
        "normalize": normalize,
        "truncate_dim": truncate_dim,
        "output_dtype": output_dtype,
    }
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    return dataset.map_batches(
        _Embedded,
        fn_constructor_args=(loaded, column, vector_column, how),
        batch_size=_ROWS_PER_BATCH,
        batch_format="pyarrow",
        **_pool(ray, actors or _room(ray, cpus, device), cpus, device),
    )


class _Embedded:
    """An actor: a table with a column of vectors more."""

    def __init__(self, model: Model, column: str, vector_column: str, how: dict[str, Any]) -> None:
        self._embedder = model.load()
        self._column, self._vector_column, self._how = column, vector_column, how

    def __call__(self, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        if self._column not in table.column_names:
            has = ", ".join(map(repr, table.column_names))
            raise BatchError(
                f"the dataset has no column {self._column!r}; its columns are {has}. Name one with column=."
            )
        if self._vector_column in table.column_names:
            raise BatchError(f"the dataset has a column {self._vector_column!r}. Name another with vector_column=.")
        texts = table.column(self._column).to_pylist()
        places = [place for place, text in enumerate(texts) if text is not None]
        vectors = self._embedder.embed_documents([texts[place] for place in places], **self._how)
        column = stages.vector_array(vectors, self._how["output_dtype"])
        if len(places) < len(texts):
            indices: list[int | None] = [None] * len(texts)
            for row, place in enumerate(places):
                indices[place] = row
            column = column.take(pa.array(indices, pa.int64()))
        return table.append_column(self._vector_column, column)


def _pool(ray: Any, actors: int, cpus: float, device: str) -> dict[str, Any]:
    """What ``map_batches`` is told of its actors."""
    resources: dict[str, Any] = {"num_cpus": cpus}
    if device != "cpu":
        resources["num_gpus"] = 1
    # A part takes seconds, so one more waiting at each actor is enough.
    return {"compute": ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2), **resources}


def _room(ray: Any, cpus: float, device: str) -> int:
    """How many actors the cluster has room for."""
    there = ray.cluster_resources()
    return max(1, int(there.get("CPU", 1) / cpus) if device == "cpu" else int(there.get("GPU", 1)))


@contextlib.contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster, whose errors are ours."""
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # A cluster that is started here tells nobody of it.
        how: dict[str, Any] = {"address": address} if address else {"address": "local", "include_dashboard": False}
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **how)
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            raise BatchError(f"there is no Ray cluster to be had at {how['address']!r} ({_reason(error)}).") from error
    try:
        # The progress is told by whoever began the job.
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield ray
    except ray.exceptions.RayError as error:
        raise BatchError(
            f"the cluster could not do the job ({_reason(error)}). What is there is whole; run the same again: "
            f"it goes on."
        ) from error
    finally:
        if ours:
            ray.shutdown()


def _reason(error: BaseException) -> str:
    """What went wrong, of a message that may be an actor's whole traceback: our own error in it, or how it begins."""
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
