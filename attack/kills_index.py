"""Updates of an index that are killed again and again: it is the one before or the one after, and nothing is left."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from attack import indexed
from attack.child import Attack, Bounds, Result
from attack.killing import finished, killed
from attack.target import Target

KILLS = 5
_REMOVING_SECONDS = 0.1


def prepare(shared: Path) -> Attack:
    model, notes = indexed.prepare(shared, "before")
    indexed.write_notes(notes, range(20, 120))
    (notes / "1.txt").unlink()
    (notes / "2.txt").write_text("the mat")
    shutil.copytree(shared / "before", shared / "after")

    def work(index: Path) -> None:
        indexed.update(model, index, notes, chunks_per_step=64)

    seconds = finished(lambda: work(shared / "after"))
    for name in ("before", "after"):
        finished(lambda name=name: _save(indexed.rows(model, shared / name), shared / f"{name}.json"))
    before, after = (json.loads((shared / f"{name}.json").read_text()) for name in ("before", "after"))
    assert len(before) < len(after)

    def attack(rng: random.Random, files: Path) -> Result:
        index, kills = files / "index", 0
        shutil.copytree(shared / "before", index)
        while kills < KILLS:
            if _killed(lambda: work(index), index / "index.json", seconds, rng):
                kills += 1
            else:
                _check_clean(index)
                shutil.rmtree(index)
                shutil.copytree(shared / "before", index)
            if kills == KILLS // 2:
                _check(model, index, files / "rows.json", [before, after])
        finished(lambda: work(index))
        _check(model, index, files / "rows.json", [after])
        _check_clean(index)
        return Result()

    return attack


def _killed(work: Callable[[], None], pointer: Path, seconds: float, rng: random.Random) -> bool:
    """At any moment; or, as often, once what counts has been replaced, and what does not count any more is removed."""
    if rng.random() < 0.5:
        return killed(work, seconds * 1.05, rng)
    before = pointer.stat().st_mtime_ns
    return killed(work, _REMOVING_SECONDS, rng, after=lambda: pointer.stat().st_mtime_ns != before)


def _check(model: Path, index: Path, told: Path, allowed: list[dict[str, list[float]]]) -> None:
    finished(lambda: _save(indexed.rows(model, index), told))
    assert json.loads(told.read_text()) in allowed, "the index is another"


def _check_clean(index: Path) -> None:
    """After an update that was let be."""
    assert not (left := indexed.left_over(index)), f"left over: {left}"


def _save(rows: dict[str, list[float]], path: Path) -> None:
    path.write_text(json.dumps(rows))


TARGET = Target(
    prepare,
    cases=100,
    short=1,
    law=f"killed {KILLS} times, the index is the one before or the one after; after a whole run, no table is left over",
    bounds=Bounds(seconds=180),
)
