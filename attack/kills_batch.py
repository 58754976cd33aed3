"""Target ``kills-batch``: kill batch jobs again and again, then resume. The output is that of an undisturbed job."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path

import pyarrow.parquet  # noqa: F401  import it once, and not after each fork
from tests import tiny

from attack.child import Case, Limits, Result
from attack.command import pellucid
from attack.killing import run_and_kill, run_to_end
from attack.target import Target

KILLS = 5
ROWS = 2500
WORDS = ("the", "cat", "dog", "sat", "on", "mat", "query", "passage")


def prepare(shared: Path) -> Case:
    model = tiny.write_model(shared / "model")
    table, log = shared / "in.jsonl", shared / "log.txt"
    rng = random.Random(0)
    rows = ({"n": n, "text": " ".join(rng.choices(WORDS, k=9)) if n % 17 else None} for n in range(ROWS))
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def job(out: Path) -> None:
        arguments = ("--model", model, "--threads", "1", "--rows-per-file", "16")
        result = pellucid("batch", table, "-o", out, *arguments, output=log)
        assert result.status == 3, result.output  # Some rows have no text.

    seconds = run_to_end(lambda: job(shared / "expected"))
    expected = contents(shared / "expected")
    assert len(expected) > ROWS // 16

    def case(rng: random.Random, files: Path) -> Result:
        kills = 0
        out = files / "out"
        while kills < KILLS:
            if run_and_kill(lambda: job(out), seconds * rng.choice((0.3, 0.6, 1.1)), rng):
                kills += 1
                _check_parts(out, expected)
            else:
                assert contents(out) == expected, "the output differs from an undisturbed job's"
                shutil.rmtree(out)
        run_to_end(lambda: job(out))
        assert contents(out) == expected, "the output differs from an undisturbed job's"
        return Result()

    return case


def contents(folder: Path) -> dict[str, str]:
    """The digest of each output file. The report's is left empty, because the report has times in it."""
    return {
        str(path.relative_to(folder)): "" if path.name == "_report.json" else _digest(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _check_parts(out: Path, expected: dict[str, str]) -> None:
    """Check that each output file is whole. A killed job may leave unfinished files, but only under other names."""
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
    invariant=f"after {KILLS} kills and a full run, the files are bitwise those of an undisturbed job, and no others",
    limits=Limits(seconds=120),
)
