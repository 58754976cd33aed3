"""What a job has to do: survey the input, check or write the manifest, and see which parts are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pellucid.batch import manifest, parts
from pellucid.batch.options import JobOptions, Ranges
from pellucid.batch.parts import Part
from pellucid.batch.survey import Survey, survey
from pellucid.errors import BatchError, printable
from pellucid.files.own_folders import BATCH_LOCK
from pellucid.files.whole import UNFINISHED, remove_unfinished
from pellucid.tables.reader import PartReader
from pellucid.task import Task

LOCK = BATCH_LOCK
_CALIBRATION_ROWS = 4096
"""The ranges of int8 come from this many of the first rows."""


@dataclass(frozen=True)
class Plan:
    """A job whose input is surveyed and whose manifest is written.

    Attributes:
        folder: the job's folder.
        survey: the input.
        options: what to do with its texts.
        ranges: for int8, the lowest and the highest number of each dimension.
        todo: the parts that are not done.
        total: how many parts there are.
    """

    folder: Path
    survey: Survey
    options: JobOptions[Any]
    ranges: Ranges | None
    todo: tuple[Part, ...]
    total: int

    def reader(self) -> PartReader:
        """A reader of the parts."""
        return _reader(self.survey, self.options)


def make_plan(
    paths: Sequence[Path],
    folder: Path,
    model: Task,
    options: JobOptions[Any],
    *,
    device: str | None = None,
    on_survey: Callable[[int], object] = lambda _bytes: None,
) -> Plan:
    """Survey the input, and compare it with the manifest of the folder, or write one.

    Args:
        paths: the input files.
        folder: the job's folder; it exists.
        model: the model.
        options: what to do with the texts.
        device: where the engines run, if that is not where the model's engine runs.
        on_survey: as for :func:`run`.

    Raises:
        BatchError: the folder has another job, or other files.
    """
    surveyed = survey(
        paths, options.text_column, options.rows_per_file, more_columns=options.more_columns, on_bytes=on_survey
    )
    options.check_columns(surveyed.schema.names)
    job = manifest.describe(surveyed, model, options, device=device)
    if (folder / manifest.NAME).exists():
        existing = manifest.read(folder)
        manifest.check_same(existing, job, folder)
        job = replace(job, ranges=existing.ranges)
        if existing.fingerprint.device is None:  # From now on, the job stays on this device.
            manifest.write(folder, job)
    else:
        _check_empty(folder)
        if options.needs_ranges:
            job = replace(job, ranges=_calibrate(surveyed, model, options))
        manifest.write(folder, job)
    for place in (folder, folder / parts.REJECTED):
        remove_unfinished(place)
    every = parts.parts_of(surveyed.files, options.rows_per_file)
    todo = tuple(part for part in every if not (folder / f"{part.name}.parquet").exists())
    return Plan(folder, surveyed, options, job.ranges, todo, len(every))


def _check_empty(folder: Path) -> None:
    names = (path.name for path in folder.iterdir())
    if others := sorted(name for name in names if name != LOCK and not name.startswith(UNFINISHED)):
        raise BatchError(
            f"{printable(folder)} is not empty (it has {others[0]!r}) and was not created by `pellucid batch`. Choose "
            f"an empty folder."
        )


def _reader(surveyed: Survey, options: JobOptions[Any]) -> PartReader:
    return PartReader(surveyed.schema, options.text_column, options.more_columns)


def _calibrate(surveyed: Survey, model: Task, options: JobOptions[Any]) -> Ranges:
    """The ranges of int8, from the vectors of the first texts: every part must have the same ranges."""
    reader = _reader(surveyed, options)
    for part in parts.parts_of(surveyed.files, options.rows_per_file):
        first = replace(part, stop=min(part.stop, part.start + _CALIBRATION_ROWS))
        cutting = replace(options, on_truncation="cut")  # type: ignore[type-var]  # Each kind is a dataclass.
        prepared = parts.prepare(first, reader, model, cutting)
        if len(prepared.texts) > 1:
            return parts.ranges_of(parts.compute(prepared, model, options))
    raise BatchError(
        "int8 needs at least two different texts, for the range of each dimension. Choose float16 instead."
    )
