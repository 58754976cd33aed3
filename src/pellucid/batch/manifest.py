"""What says which job a folder has: its input, its model and its options. Another job is refused there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.batch.parts import JobOptions
from pellucid.batch.survey import Survey
from pellucid.embedder import Embedder
from pellucid.errors import BatchError, printable
from pellucid.files.whole import in_one_step

FORMAT = 1
NAME = "_manifest.json"


def described(survey: Survey, embedder: Embedder, options: JobOptions) -> dict[str, Any]:
    """What makes a job the same job."""
    return {
        "model": printable(embedder.model_name),
        "model_digest": embedder.digest,
        "engine": embedder.engine.name,
        "dtype": embedder.engine.dtype,
        "dimensions": options.truncate_dim or embedder.dimensions,
        **asdict(options),
        "columns": {
            name: str(kind).removeprefix("large_")
            for name, kind in zip(survey.schema.names, survey.schema.types, strict=True)
        },
        "inputs": [{"name": file.name, "sha256": file.sha256, "rows": file.rows} for file in survey.files],
    }


def check_same(held: dict[str, Any], wanted: dict[str, Any], folder: Path) -> None:
    """Refuse a job that is not the one which a folder has.

    Raises:
        BatchError: the input, the model or an option differs.
    """
    where = printable(folder)
    ours, theirs = ({file["name"]: file for file in each["inputs"]} for each in (wanted, held))
    if hidden := [name for name in theirs if name.startswith("_")]:
        raise BatchError(
            f"{where} has a job of an earlier version, which named files {hidden[0]}-…: Arrow, pandas and Spark skip "
            f"names that begin with _. Begin it again in another folder."
        )
    if names := sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)):
        what = f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''} changed, came or went"  # noqa: PLR2004
        raise BatchError(f"{where} has a job of other input: {what}. Finish it with its own, or name another folder.")
    differing = [key for key in wanted if held.get(key) != wanted[key] and key not in ("model", "inputs")]
    if differing:
        key = differing[0]
        what = "another model" if key == "model_digest" else f"{key} {held.get(key)!r}, not {wanted[key]!r}"
        raise BatchError(f"{where} has a job with {what}. Finish it as it was begun, or name another folder.")


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        BatchError: it is something else.
    """
    path = folder / NAME
    try:
        if path.is_file():
            held = json.loads(path.read_bytes())
            names = [file["name"] for file in held["job"]["inputs"]]
            bounds = [np.array(held["ranges"][end], dtype=np.float32) for end in held.get("ranges", ())]
            sound = all(bound.shape == (held["job"]["dimensions"],) for bound in bounds)
            if held["format"] == FORMAT and sound and all(isinstance(name, str) for name in names):
                return dict(held)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise BatchError(f"{printable(path)} is not a manifest of this version. Name another folder.")


def write_json(path: Path, value: Any) -> None:
    """Write a file whole.

    Raises:
        OSError: it cannot be written.
    """
    with in_one_step(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
