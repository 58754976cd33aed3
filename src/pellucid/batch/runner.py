"""A job: what is to be done, what has been, and the doing of the rest on one machine.

The folder of a job has ``_manifest.json``, which says what the job is; a ``.parquet`` for each part that is done;
``_rejected/`` with a line for each row that could not be used; and ``_report.json`` once all is done. What begins with
``_`` is no data to Arrow and Spark, so the folder is one table to them. A part is done when its file has its name, so
any death leaves nothing to repair.
"""

from __future__ import annotations

import collections
import functools
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import filelock
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pellucid.batch import files, manifest
from pellucid.batch import parts as stages
from pellucid.batch import survey as sources
from pellucid.batch.parts import Done, JobOptions, Part, PreparedPart
from pellucid.batch.survey import PartReader, Survey
from pellucid.embedder import Embedder
from pellucid.errors import BatchError, OptionError, printable
from pellucid.files.prefetch import one_thread, prefetch
from pellucid.files.whole import UNFINISHED, remove_unfinished
from pellucid.text.checks import check_utf8
from pellucid.types import Float32

OUTPUT_DTYPES = ("float32", "float16", "int8", "binary", "ubinary")
_REPORT, _LOCK = "_report.json", ".lock"
_AHEAD = 2
"""How many parts are read before their turn, and how many may wait to be written."""
_CALIBRATION_ROWS = 4096
"""From so many of the first texts come the ranges of int8."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        rows: done, of this job's earlier runs too.
        total: to be done in all.
        tokens: embedded in this run.
    """

    rows: int
    total: int
    tokens: int


@dataclass(frozen=True)
class Report:
    """What a run did, and what the job has now.

    Attributes:
        rows: in the output.
        rejected: rows that are not.
        parts: files of output.
        parts_before: those that an earlier run had written.
        texts: embedded in this run: equal texts of a part count once.
        tokens: of these.
        cut: texts of this run that were longer than the model reads.
        lost: their tokens beyond.
        seconds: that this run took, the survey of the input included.
        engine_busy: of the time from the first part's tokens to the last part's vectors, how much the engine worked;
            None if nothing was to be done.
        peak_rss_mb: the most memory that the process had.
    """

    rows: int
    rejected: int
    parts: int
    parts_before: int
    texts: int
    tokens: int
    cut: int
    lost: int
    seconds: float
    engine_busy: float | None
    peak_rss_mb: float


@dataclass(frozen=True)
class Plan:
    """A job that has been surveyed, and whose manifest is written.

    Attributes:
        folder: where the output goes.
        survey: of the input.
        options: what is to become of it.
        ranges: of int8.
        todo: the parts that are not done.
        total: how many parts there are.
    """

    folder: Path
    survey: Survey
    options: JobOptions
    ranges: tuple[Float32, Float32] | None
    todo: tuple[Part, ...]
    total: int


class Executor(Protocol):
    """Who does the parts of a plan: this process, or others (:class:`pellucid.batch.ray.Cluster`)."""

    def __call__(self, plan: Plan, embedder: Embedder, told: Callable[[int, int], object]) -> Iterator[Done]:
        """Do each part of ``plan.todo``; ``told`` hears of rows and tokens as they are embedded."""


@dataclass
class Busy:
    """How long the engine worked, and from when to when."""

    seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0


def run(
    inputs: Sequence[str],
    folder: Path,
    embedder: Embedder,
    options: JobOptions,
    *,
    engine: Executor | None = None,
    progress: Callable[[Progress], object] = lambda _progress: None,
    surveyed: Callable[[int], object] = lambda _bytes: None,
) -> Report:
    """Do a job, or what is left of it.

    Args:
        inputs: files, folders and patterns.
        folder: for the output; it is made.
        embedder: the model, made with ``on_truncation="ignore"``.
        options: what is to become of the texts.
        engine: who does it; by default, this process.
        progress: hears how far it is.
        surveyed: hears how many bytes of the input have been looked at, before.

    Raises:
        BatchError: the input cannot be read, is not what it was, or has rows and not one that can be used; the folder
            cannot be written to, or has another job; or somebody else is at this one.
        OptionError: an option cannot be served.
    """
    start = time.perf_counter()
    _check(options, embedder)
    paths = files.find(inputs, folder)
    with _locked(folder):
        plan = planned(paths, folder, embedder, options, surveyed)
        total = sum(file.rows for file in plan.survey.files)
        rows = total - sum(part.stop - part.start for part in plan.todo)
        tokens, busy = 0, Busy()

        def told(more_rows: int, more_tokens: int) -> None:
            nonlocal rows, tokens
            rows += more_rows
            tokens += more_tokens
            progress(Progress(rows, total, tokens))

        progress(Progress(rows, total, 0))
        done = list((engine or _Local(busy))(plan, embedder, told))
        report = _reported(plan, done, time.perf_counter() - start, busy)
        manifest.write_json(folder / _REPORT, asdict(report))
    if report.rejected and not report.rows:
        raise BatchError(
            f"none of the {report.rejected:,} rows could be used. The first: {_first_fault(folder)}. "
            f"{printable(folder / stages.REJECTED)} has all of them."
        )
    return report


class _Local:
    """One process: reading, tokenizing and writing in threads of their own, while the engine works."""

    def __init__(self, busy: Busy) -> None:
        self._busy = busy

    def __call__(self, plan: Plan, embedder: Embedder, told: Callable[[int, int], object]) -> Iterator[Done]:
        options, reader = plan.options, PartReader(plan.survey.schema, plan.options.text_column)
        behind: collections.deque[Future[Done]] = collections.deque()
        with one_thread() as reading, one_thread() as writing:
            prepare = functools.partial(stages.prepare, reader=reader, embedder=embedder, options=options)
            for prepared in prefetch(reading, plan.todo, prepare, most=_AHEAD):
                begin = time.perf_counter()
                vectors = stages.embed(prepared, embedder, options, advance=_rows_told(prepared, told))
                self._count(begin, time.perf_counter())
                behind.append(writing.submit(stages.write, prepared, vectors, options, plan.ranges, plan.folder))
                while len(behind) > _AHEAD:
                    yield behind.popleft().result()
            while behind:
                yield behind.popleft().result()

    def _count(self, begin: float, end: float) -> None:
        busy = self._busy
        busy.first, busy.last = busy.first or begin, end
        busy.seconds += end - begin


def _rows_told(prepared: PreparedPart, told: Callable[[int, int], object]) -> Callable[[int], None]:
    """From how many texts of a part are embedded to how many of its rows and tokens: about, but in all exactly."""
    rows = prepared.part.stop - prepared.part.start
    texts, tokens = max(1, len(prepared.texts)), len(prepared.tokens.ids)
    done = 0
    if not prepared.texts:
        told(rows, 0)

    def advance(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        told(rows * done // texts - rows * before // texts, tokens * done // texts - tokens * before // texts)

    return advance


def planned(
    paths: Sequence[Path], folder: Path, embedder: Embedder, options: JobOptions, surveyed: Callable[[int], object]
) -> Plan:
    """Survey the input, and hold it against the manifest, or write one.

    Raises:
        BatchError: the folder has another job's manifest, or files of something else.
    """
    survey = sources.survey(paths, options.text_column, options.rows_per_file, told=surveyed)
    if options.vector_column in survey.schema.names:
        raise BatchError(
            f"the input has a column {options.vector_column!r} already. Name another with --vector-column."
        )
    job = manifest.described(survey, embedder, options)
    if (folder / manifest.NAME).exists():
        held = manifest.read(folder)
        manifest.check_same(held["job"], job, folder)
    else:
        there = (path.name for path in folder.iterdir())
        if strange := sorted(name for name in there if name != _LOCK and not name.startswith(UNFINISHED)):
            raise BatchError(
                f"{printable(folder)} is not empty (it has {strange[0]!r}), and has no job. Name an empty folder."
            )
        held = {"format": manifest.FORMAT, "job": job}
        if options.output_dtype == "int8":
            low, high = _calibrated(survey, embedder, options)
            held["ranges"] = {"low": low.tolist(), "high": high.tolist()}
        manifest.write_json(folder / manifest.NAME, held)
    ranges = held.get("ranges")
    for place in (folder, folder / stages.REJECTED):
        remove_unfinished(place)
    parts = stages.parts_of(survey.files, options.rows_per_file)
    todo = tuple(part for part in parts if not (folder / f"{part.name}.parquet").exists())
    bounds = None if ranges is None else (_float32(ranges["low"]), _float32(ranges["high"]))
    return Plan(folder, survey, options, bounds, todo, len(parts))


def _calibrated(survey: Survey, embedder: Embedder, options: JobOptions) -> tuple[Float32, Float32]:
    """The ranges of int8, from the vectors of the first texts: every part must have the same."""
    reader = PartReader(survey.schema, options.text_column)
    for part in stages.parts_of(survey.files, options.rows_per_file):
        first = replace(part, stop=min(part.stop, part.start + _CALIBRATION_ROWS))
        prepared = stages.prepare(first, reader, embedder, replace(options, on_truncation="cut"))
        if len(prepared.texts) > 1:
            return stages.ranges_of(stages.embed(prepared, embedder, options))
    raise BatchError("int8 takes each dimension's range from the first texts, and there are not two. Take float16.")


def _reported(plan: Plan, done: Sequence[Done], seconds: float, busy: Busy) -> Report:
    files = list(plan.folder.glob("*.parquet"))
    rejected = sum(_lines(path) for path in plan.folder.glob(f"{stages.REJECTED}/*.jsonl"))
    sums = {name: sum(getattr(part, name) for part in done) for name in ("texts", "tokens", "cut", "lost")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Report(
        rows=sum(map(_rows_of, files)),
        rejected=rejected,
        parts=len(files),
        parts_before=plan.total - len(plan.todo),
        **sums,
        seconds=round(seconds, 3),
        engine_busy=round(busy.seconds / (busy.last - busy.first), 4) if busy.last else None,
        peak_rss_mb=round(peak, 1),
    )


def _rows_of(part: Path) -> int:
    try:
        return int(pq.read_metadata(part).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise BatchError(
            f"{printable(part)} is damaged. Remove it, and run the same again: it is made again."
        ) from error


def _first_fault(folder: Path) -> str:
    first = min((folder / stages.REJECTED).glob("*.jsonl"))
    with first.open(encoding="utf-8") as file:
        return str(json.loads(file.readline())["fault"])


def check_output(output_dtype: str, *, without: Sequence[str] = ()) -> None:
    """Refuse a type of vectors that cannot be written.

    Raises:
        OptionError: it is not one of ``OUTPUT_DTYPES``, less ``without``.
    """
    served = [name for name in OUTPUT_DTYPES if name not in without]
    if output_dtype not in served:
        raise OptionError(f"output_dtype={output_dtype!r} is not one of {', '.join(served)}.")


def _check(options: JobOptions, embedder: Embedder) -> None:
    check_output(options.output_dtype)
    for name in ("text_column", "vector_column", "prompt"):
        check_utf8(getattr(options, name), name)
    if options.rows_per_file < 1:
        raise OptionError("rows_per_file must be at least 1.")
    if options.truncate_dim is not None and not 1 <= options.truncate_dim <= embedder.dimensions:
        raise OptionError(f"truncate_dim={options.truncate_dim} must be from 1 to {embedder.dimensions}.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder, made if it is not there, to ourselves."""
    where = printable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise BatchError(f"{where} is a file; the output goes to a folder.") from error
    except OSError as error:
        raise BatchError(f"the folder {where} cannot be made ({error.strerror}). Name another.") from error
    try:
        with filelock.FileLock(folder / _LOCK, timeout=0):
            yield
    except filelock.Timeout as error:
        raise BatchError(f"another process is at the job in {where}. Wait for it, or name another folder.") from error
    except OSError as error:
        reason = error.strerror or printable(str(error))
        raise BatchError(f"{where} cannot be used ({reason}). What is there is whole; run the same again.") from error


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _float32(values: list[float]) -> Float32:
    return np.array(values, dtype=np.float32)
