"""What a job has to do: survey the input, check or write the manifest, and see which parts are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pellucid.batch import manifest, parts
from pellucid.batch.parts import JobOptions, Part
from pellucid.batch.survey import Survey, survey
from pellucid.embedder import Embedder
from pellucid.errors import BatchError, printable
from pellucid.files.own_folders import BATCH_LOCK
from pellucid.files.whole import UNFINISHED, remove_unfinished
from pellucid.tables.reader import PartReader
from pellucid.types import Float32

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
    options: JobOptions
    ranges: tuple[Float32, Float32] | None
    todo: tuple[Part, ...]
    total: int


def make_plan(
    paths: Sequence[Path],
    folder: Path,
    embedder: Embedder,
    options: JobOptions,
    *,
    device: str | None = None,
    on_survey: Callable[[int], object] = lambda _bytes: None,
) -> Plan:
    """Survey the input, and compare it with the manifest of the folder, or write one.

    Args:
        paths: the input files.
        folder: the job's folder; it exists.
        embedder: the model.
        options: what to do with the texts.
        device: where the engines run, if that is not where the embedder's engine runs.
        on_survey: as for :func:`run`.

    Raises:
        BatchError: the folder has another job, or other files.
    """
    surveyed = survey(paths, options.text_column, options.rows_per_file, on_bytes=on_survey)
    if options.vector_column in surveyed.schema.names:
        raise BatchError(
            f"the input has a column {options.vector_column!r} already. Choose another name with --vector-column."
        )
    job = manifest.describe(surveyed, embedder, options, device=device)
    if (folder / manifest.NAME).exists():
        existing = manifest.read(folder)
        manifest.check_same(existing, job, folder)
        job = replace(job, ranges=existing.ranges)
        if existing.fingerprint.device is None:  # From now on, the job stays on this device.
            manifest.write(folder, job)
    else:
        _check_empty(folder)
        if options.output_dtype == "int8":
            job = replace(job, ranges=_calibrate(surveyed, embedder, options))
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


def _calibrate(surveyed: Survey, embedder: Embedder, options: JobOptions) -> tuple[Float32, Float32]:
    """The ranges of int8, from the vectors of the first texts: every part must have the same ranges."""
    reader = PartReader(surveyed.schema, options.text_column)
    for part in parts.parts_of(surveyed.files, options.rows_per_file):
        first = replace(part, stop=min(part.stop, part.start + _CALIBRATION_ROWS))
        prepared = parts.prepare(first, reader, embedder, replace(options, on_truncation="cut"))
        if len(prepared.texts) > 1:
            return parts.ranges_of(parts.embed(prepared, embedder, options))
    raise BatchError(
        "int8 needs at least two different texts, for the range of each dimension. Choose float16 instead."
    )
