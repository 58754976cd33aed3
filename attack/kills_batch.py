"""Batch jobs that are killed again and again, and gone on with: the output is that of a job that was left alone."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import pyarrow.parquet  # noqa: F401  imported once, and not after each fork
from tests import tiny

from attack.child import Attack, Bounds, Result
from attack.command import pellucid
from attack.killing import finished, killed
from attack.target import Target

KILLS = 5
ROWS = 2500
WORDS = ("the", "cat", "dog", "sat", "on", "mat", "query", "passage")


def prepare(shared: Path) -> Attack:
    model = tiny.write_model(shared / "model")
    table, log = shared / "in.jsonl", shared / "log.txt"
    draws = random.Random(0)
    rows = ({"n": n, "text": " ".join(draws.choices(WORDS, k=9)) if n % 17 else None} for n in range(ROWS))
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def job(out: Path) -> None:
        arguments = ("--model", model, "--threads", "1", "--rows-per-file", "16")
        said = pellucid("batch", table, "-o", out, *arguments, output=log)
        assert said.status == 0, said.output

    seconds = finished(lambda: job(shared / "expected"))
    expected = contents(shared / "expected")
    assert len(expected) > ROWS // 16

    def attack(rng: random.Random, files: Path) -> Result:
        kills = 0
        out = files / "out"
        while kills < KILLS:
            if killed(lambda: job(out), seconds * rng.choice((0.3, 0.6, 1.1)), rng):
                kills += 1
                _check_parts(out, expected)
            else:
                assert contents(out) == expected, "the output is another"
                shutil.rmtree(out)
        finished(lambda: job(out))
        assert contents(out) == expected, "the output is another"
        return Result()

    return attack


def contents(folder: Path) -> dict[str, str]:
    """The digest of each file of the output; of the report, which has times in it, only the name."""
    return {
        str(path.relative_to(folder)): "" if path.name == "_report.json" else _digest(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _check_parts(out: Path, expected: dict[str, str]) -> None:
    """What has its name is whole."""
    for path in out.rglob("*"):
        name = str(path.relative_to(out))
        if path.is_file() and name in expected and expected[name] and not name.startswith(".unfinished"):
            assert _digest(path) == expected[name], f"{name} is not whole"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


TARGET = Target(
    prepare,
    cases=100,
    short=2,
    law=f"after {KILLS} kills and one whole run, the files are bitwise those of an undisturbed job, and no others",
    bounds=Bounds(seconds=120),
)
