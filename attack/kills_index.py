"""Target ``kills-index``: kill updates of an index again and again. The index stays the previous one or becomes the new
one, and after a complete update nothing is left over.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from attack import indexed
from attack.child import Case, Limits, Result
from attack.killing import run_and_kill, run_to_end
from attack.target import Target

KILLS = 5
_REMOVAL_SECONDS = 0.1


def prepare(shared: Path) -> Case:
    model, notes = indexed.prepare(shared, "before")
    indexed.write_notes(notes, range(20, 120))
    (notes / "1.txt").unlink()
    (notes / "2.txt").write_text("the mat")
    shutil.copytree(shared / "before", shared / "after")

    def work(index: Path) -> None:
        indexed.update(model, index, notes, chunks_per_step=64)

    seconds = run_to_end(lambda: work(shared / "after"))
    for name in ("before", "after"):
        run_to_end(lambda name=name: _save(indexed.rows(model, shared / name), shared / f"{name}.json"))
    before, after = (json.loads((shared / f"{name}.json").read_text()) for name in ("before", "after"))
    assert len(before) < len(after)

    def case(rng: random.Random, files: Path) -> Result:
        index, kills = files / "index", 0
        shutil.copytree(shared / "before", index)
        while kills < KILLS:
            if _update_and_kill(lambda: work(index), index / "index.json", seconds, rng):
                kills += 1
            else:
                _check_nothing_left(index)
                shutil.rmtree(index)
                shutil.copytree(shared / "before", index)
            if kills == KILLS // 2:
                _check_rows(model, index, files / "rows.json", [before, after])
        run_to_end(lambda: work(index))
        _check_rows(model, index, files / "rows.json", [after])
        _check_nothing_left(index)
        return Result()

    return case


def _update_and_kill(work: Callable[[], None], pointer: Path, seconds: float, rng: random.Random) -> bool:
    """Kill the update at any moment; or, half of the time, just after it has replaced ``index.json``, while it removes
    old tables. Return False if the update ended before.
    """
    if rng.random() < 0.5:
        return run_and_kill(work, seconds * 1.05, rng)
    before = pointer.stat().st_mtime_ns
    return run_and_kill(work, _REMOVAL_SECONDS, rng, is_ready=lambda: pointer.stat().st_mtime_ns != before)


def _check_rows(model: Path, index: Path, rows_file: Path, allowed: list[dict[str, list[float]]]) -> None:
    run_to_end(lambda: _save(indexed.rows(model, index), rows_file))
    assert json.loads(rows_file.read_text()) in allowed, "the index has other rows than before and after the update"


def _check_nothing_left(index: Path) -> None:
    """After an update that was not killed."""
    assert not (names := indexed.left_over(index)), f"left over: {names}"


def _save(rows: dict[str, list[float]], path: Path) -> None:
    path.write_text(json.dumps(rows))


TARGET = Target(
    prepare,
    cases=100,
    short=1,
    invariant=f"after {KILLS} kills, the index is the previous or new one; after a full update, nothing is left over",
    limits=Limits(seconds=180),
)
