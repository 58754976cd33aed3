"""Runs or resumes a batch job, by default in this process.

The folder of a job has ``_manifest.json``, which describes the job; a ``.parquet`` file for each part that is done;
``_rejected/``, with a line for each row that could not be used; and, once all parts are done, ``_report.json``. Arrow
and Spark skip names that begin with ``_``, so they see the folder as one table. A file gets its final name only when it
is complete, so a crash leaves no half-written part.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pellucid.batch import files, manifest, parts
from pellucid.batch.options import JobOptions
from pellucid.batch.parts import Done, PreparedPart
from pellucid.batch.plan import LOCK, Plan, make_plan
from pellucid.errors import BatchError, plural, printable
from pellucid.files.locks import locked
from pellucid.files.prefetch import one_thread, prefetch
from pellucid.tables import parquet
from pellucid.tables.arrow import ARROW_ERRORS
from pellucid.task import Task

_REPORT = "_report.json"
_MAX_WAITING = 2
"""How many parts are read ahead, and how many may wait to be written."""


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        rows: how many are done, in earlier runs too.
        total: how many there are.
        tokens: how many went through the model in this run.
    """

    rows: int
    total: int
    tokens: int


@dataclass(frozen=True)
class Report:
    """What a run did, and what the job has now.

    Attributes:
        rows: rows in the output.
        rejected: rows that could not be used.
        parts: output files.
        parts_before: output files that earlier runs had written.
        texts: texts, or pairs of texts, of this run. Equal ones of a part count once.
        tokens: tokens of those texts.
        cut: rows of this run whose texts were longer than the model reads.
        lost: tokens that were cut off.
        seconds: how long this run took, with the survey of the input.
        engine_busy: which fraction of the time the engine worked, from its first part to its last; None if there was
            nothing to do, or if a cluster did it.
        peak_rss_mb: the most memory that the process used, in megabytes.
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


class Executor(Protocol):
    """Does the parts of a plan, in this process or in others (:class:`pellucid.batch.ray.Cluster`)."""

    @property
    def device(self) -> str | None:
        """The device of its engines. None if the device is that of the model's engine."""

    def __call__(self, plan: Plan, model: Task, advance: Callable[[int, int], object]) -> Iterator[Done]:
        """Do each part of ``plan.todo``. ``advance`` is called with the rows and tokens that were done since."""


@dataclass
class _Busy:
    """How long the engine worked, and when it first and last did."""

    seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0


def run(
    inputs: Sequence[str],
    folder: Path,
    model: Task,
    options: JobOptions[Any],
    *,
    executor: Executor | None = None,
    on_progress: Callable[[Progress], object] = lambda _progress: None,
    on_survey: Callable[[int], object] = lambda _bytes: None,
) -> Report:
    """Run or resume a batch job.

    Args:
        inputs: files, folders and patterns.
        folder: the folder for the output; it is made if it is missing.
        model: the model, made with ``on_truncation="cut"``; of the task that the options are for.
        options: what to do with the texts.
        executor: does the parts; None for this process.
        on_progress: called whenever more rows are done.
        on_survey: called with the number of bytes that the survey of the input has read since the last call.

    Raises:
        BatchError: the input cannot be read, was changed, or has rows but none that can be used; the folder cannot be
            written to, or has another job; or another process is doing this job.
        OptionError: an option cannot be used.
    """
    start = time.perf_counter()
    options.check(model)
    paths = files.find(inputs, folder)
    busy = _Busy()
    chosen = executor or _ThisProcess(busy)
    with _locked(folder):
        plan = make_plan(paths, folder, model, options, device=chosen.device, on_survey=on_survey)
        total = sum(file.rows for file in plan.survey.files)
        rows = total - sum(part.stop - part.start for part in plan.todo)
        tokens = 0

        def advance(more_rows: int, more_tokens: int) -> None:
            nonlocal rows, tokens
            rows += more_rows
            tokens += more_tokens
            on_progress(Progress(rows, total, tokens))

        on_progress(Progress(rows, total, 0))
        done = list(chosen(plan, model, advance))
        report = _report(plan, done, time.perf_counter() - start, busy)
        manifest.write_json(folder / _REPORT, asdict(report))
    if report.rejected and not report.rows:
        raise BatchError(
            f"no row could be used; {plural(report.rejected, 'row')} rejected. The first: {_first_fault(folder)}. "
            f"{printable(folder / parts.REJECTED)} lists all of them."
        )
    return report


class _ThisProcess:
    """Does parts in this process. Two threads read and tokenize, and write, while the engine works."""

    device: str | None = None

    def __init__(self, busy: _Busy) -> None:
        self._busy = busy

    def __call__(self, plan: Plan, model: Task, advance: Callable[[int, int], object]) -> Iterator[Done]:
        options = plan.options
        written: collections.deque[Future[Done]] = collections.deque()
        with one_thread() as reading, one_thread() as writing:
            prepare = functools.partial(parts.prepare, reader=plan.reader(), model=model, options=options)
            for prepared in prefetch(reading, plan.todo, prepare, count=_MAX_WAITING):
                begin = time.perf_counter()
                results = parts.compute(prepared, model, options, advance=_by_text(prepared, advance))
                self._count(begin, time.perf_counter())
                written.append(writing.submit(parts.write, prepared, results, model, options, plan.ranges, plan.folder))
                while len(written) > _MAX_WAITING:
                    yield written.popleft().result()
            while written:
                yield written.popleft().result()

    def _count(self, begin: float, end: float) -> None:
        busy = self._busy
        busy.first, busy.last = busy.first or begin, end
        busy.seconds += end - begin


def _by_text(prepared: PreparedPart, advance: Callable[[int, int], object]) -> Callable[[int], None]:
    """Convert progress in texts into rows and tokens. They are estimates, and exact once the part is done."""
    rows = prepared.part.stop - prepared.part.start
    texts, tokens = max(1, len(prepared.texts)), len(prepared.tokens.ids)
    done = 0
    if not prepared.texts:
        advance(rows, 0)

    def advance_texts(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        advance(rows * done // texts - rows * before // texts, tokens * done // texts - tokens * before // texts)

    return advance_texts


def _report(plan: Plan, done: Sequence[Done], seconds: float, busy: _Busy) -> Report:
    output = list(plan.folder.glob("*.parquet"))
    rejected = sum(_count_lines(path) for path in plan.folder.glob(f"{parts.REJECTED}/*.jsonl"))
    sums = {name: sum(getattr(part, name) for part in done) for name in ("texts", "tokens", "cut", "lost")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Report(
        rows=sum(_count_rows(path) for path in output),
        rejected=rejected,
        parts=len(output),
        parts_before=plan.total - len(plan.todo),
        **sums,
        seconds=round(seconds, 3),
        engine_busy=round(busy.seconds / (busy.last - busy.first), 4) if busy.last else None,
        peak_rss_mb=round(peak, 1),
    )


def _count_rows(part: Path) -> int:
    try:
        return parquet.describe(part)[0]
    except ARROW_ERRORS as error:
        raise BatchError(
            f"{printable(part)} is damaged. Delete it, and run the same command again, which writes it anew."
        ) from error


def _first_fault(folder: Path) -> str:
    first = min((folder / parts.REJECTED).glob("*.jsonl"))
    with first.open(encoding="utf-8") as file:
        return str(json.loads(file.readline())["fault"])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder if it is missing, and keep other processes out of it."""
    where = printable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise BatchError(f"{where} is a file. The output needs a folder.") from error
    except OSError as error:
        raise BatchError(f"the folder {where} cannot be made ({error.strerror}). Choose another.") from error

    def refuse() -> None:
        raise BatchError(
            f"another process is doing the job in {where}. Wait until it is done, or choose another folder."
        )

    try:
        with locked(folder / LOCK, on_wait=refuse):
            yield
    except OSError as error:
        reason = error.strerror or printable(str(error))
        raise BatchError(
            f"{where} cannot be used ({reason}). Every finished file is intact. Fix the cause (permissions, disk "
            f"space), then run the same command again."
        ) from error


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
