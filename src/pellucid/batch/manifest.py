"""The manifest of a job: its input, its model and its options. Another job is refused in the same folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.batch.options import JobOptions
from pellucid.batch.survey import Survey
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import BatchError, printable
from pellucid.files.own_folders import BATCH_MANIFEST
from pellucid.files.whole import in_one_step
from pellucid.tables.schemas import type_names
from pellucid.task import Task
from pellucid.types import Float32

NAME = BATCH_MANIFEST
_FORMAT = 2
_WITHOUT_FINGERPRINT = 1
"""The format of Pellucid 0.1, which did not keep the device."""
_NAMES_SHOWN = 3
_IN_FINGERPRINT = ("prompt", "normalize", "truncate_dim", "max_active_dims")


@dataclass(frozen=True)
class Manifest:
    """What makes a job the same job.

    Attributes:
        model: the model's name, for people to read.
        fingerprint: what its results depend on besides the texts.
        dimensions: how many numbers the model gives for each text.
        options: the job's options that are not in the fingerprint.
        columns: the input's columns, with the names of their types.
        inputs: the name, SHA-256 and rows of each input file.
        ranges: for int8, the lowest and the highest number of each dimension, ``float32[d]`` each.
    """

    model: str
    fingerprint: Fingerprint
    dimensions: int
    options: dict[str, Any]
    columns: dict[str, str]
    inputs: list[dict[str, Any]]
    ranges: tuple[Float32, Float32] | None = None


def describe(survey: Survey, model: Task, options: JobOptions[Any], *, device: str | None = None) -> Manifest:
    """The manifest of a job.

    Args:
        survey: its input.
        model: the model.
        options: its options.
        device: where the engines run, if that is not where the model's engine runs.
    """
    fields = vars(options).items()  # Those of its dataclass.
    values = {name: value for name, value in fields if name not in _IN_FINGERPRINT}
    inputs = [{"name": file.name, "sha256": file.sha256, "rows": file.rows} for file in survey.files]
    columns = type_names(survey.schema)
    fingerprint = options.fingerprint(model, device=device)
    return Manifest(printable(model.model_name), fingerprint, options.width(model), values, columns, inputs)


def check_same(existing: Manifest, requested: Manifest, folder: Path) -> None:
    """Refuse a job that is not the one in the folder.

    Raises:
        BatchError: the input, the model or an option differs.
    """
    where = printable(folder)
    ours, theirs = ({file["name"]: file for file in each.inputs} for each in (requested, existing))
    if hidden := [name for name in theirs if name.startswith("_")]:
        raise BatchError(
            f"{where} has a job of an earlier version, which named its files {hidden[0]}-…. Arrow, pandas and Spark "
            f"skip names that begin with _. Start the job again in another folder."
        )
    if names := sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)):
        shown = ", ".join(names[:_NAMES_SHOWN]) + (" and others" if len(names) > _NAMES_SHOWN else "")
        raise BatchError(
            f"{where} contains a job with different input: {shown} changed, or was added or removed. Run the command "
            f"with that job's input, or choose a new folder."
        )
    if (difference := _difference(existing, requested)) is not None:
        raise BatchError(
            f"{where} contains a job with {difference}. Run the command with that job's model and options, or choose a "
            f"new folder."
        )


def _difference(existing: Manifest, requested: Manifest) -> str | None:
    """The first thing in which two jobs on the same input differ, or None."""
    name = existing.fingerprint.difference(requested.fingerprint)
    if name == "model":
        return "a different model"
    if name is None or name == "options":
        ours, theirs = (
            {**(each.fingerprint.options or {}), "dimensions": each.dimensions, **each.options, "columns": each.columns}
            for each in (requested, existing)
        )
        name = next((key for key in ours if theirs.get(key) != ours[key]), None)
        if name is None:
            return None
    else:
        ours, theirs = vars(requested.fingerprint), vars(existing.fingerprint)
    return f"different options: {name} {theirs.get(name)!r}, not {ours[name]!r}"


def read(folder: Path) -> Manifest:
    """The manifest in a folder.

    Raises:
        BatchError: the file is something else, or of a later version.
    """
    path = folder / NAME
    try:
        if path.is_file() and (manifest := _parse(json.loads(path.read_bytes()))) is not None:
            return manifest
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        pass
    raise BatchError(f"{printable(path)} is not a manifest that this version can read. Choose another folder.")


def _parse(content: dict[str, Any]) -> Manifest | None:
    job = dict(content["job"])
    if content["format"] == _WITHOUT_FINGERPRINT:
        options = {name: job.pop(name) for name in ("normalize", "truncate_dim")}
        digest, dtype, engine, prompt = (job.pop(name) for name in ("model_digest", "dtype", "engine", "prompt"))
        job["fingerprint"] = Fingerprint(digest, engine, dtype, None, prompt, options).to_json()
        names = ("model", "fingerprint", "dimensions", "columns", "inputs")
        job["options"] = {name: job.pop(name) for name in list(job) if name not in names}
    elif content["format"] != _FORMAT:
        return None
    job["fingerprint"] = Fingerprint.from_json(job["fingerprint"])
    ranges = content.get("ranges")
    manifest = Manifest(**job, ranges=None if ranges is None else (_floats(ranges["low"]), _floats(ranges["high"])))
    bounds = manifest.ranges or ()
    is_sound = all(bound.shape == (manifest.dimensions,) for bound in bounds)
    is_sound &= isinstance(manifest.options, dict) and isinstance(manifest.columns, dict)
    return manifest if is_sound and all(isinstance(file["name"], str) for file in manifest.inputs) else None


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    job = {name: value for name, value in vars(manifest).items() if name not in ("ranges", "fingerprint")}
    content: dict[str, Any] = {"format": _FORMAT, "job": job | {"fingerprint": manifest.fingerprint.to_json()}}
    if manifest.ranges is not None:
        content["ranges"] = {"low": manifest.ranges[0].tolist(), "high": manifest.ranges[1].tolist()}
    write_json(folder / NAME, content)


def write_json(path: Path, value: Any) -> None:
    """Write a file of JSON, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with in_one_step(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _floats(values: list[float]) -> Float32:
    return np.array(values, dtype=np.float32)
