"""The results of an attack: a table to read, and a JSON file for docs/testing.md."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attack.child import FAULTS, Outcome

_FRAME = re.compile(r'File ".*?/pellucid/(\S+?)", line (\d+)')
_LONG_NUMBER = re.compile(r"[0-9a-f]{12,}")
_MAX_KEPT_CASES = 3
"""For each signature of a fault."""


@dataclass
class Tally:
    """Counts for the cases of one target.

    Attributes:
        name: the target's name.
        cases: the number of cases.
        ok: the number of cases with the result "ok".
        seconds: the time that the whole target took.
        refused: the number of refusals for each class of error.
        faults: the numbers of the cases with a fault, by the fault's signature.
        slowest: the seconds and the number of the slowest case.
        largest: the peak memory in bytes and the number of the case that used most.
    """

    name: str
    cases: int = 0
    ok: int = 0
    seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    faults: dict[str, list[int]] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[int, int] = (0, -1)

    def add(self, number: int, outcome: Outcome) -> bool:
        """Count a case. Return True if its folder should be kept: for the first few cases of each fault."""
        self.cases += 1
        self.slowest = max(self.slowest, (outcome.seconds, number))
        self.largest = max(self.largest, (outcome.peak, number))
        if outcome.kind in FAULTS:
            numbers = self.faults.setdefault(signature(outcome), [])
            numbers.append(number)
            return len(numbers) <= _MAX_KEPT_CASES
        if outcome.kind == "refused":
            self.refused[outcome.detail] += 1
        else:
            self.ok += 1
        return False

    @property
    def fault_count(self) -> int:
        """The number of cases with a fault."""
        return sum(map(len, self.faults.values()))

    def summary(self) -> dict[str, Any]:
        """The target's entry in ``summary.json``."""
        return {
            "cases": self.cases,
            "ok": self.ok,
            "refused": dict(self.refused.most_common()),
            "faults": {name: {"cases": len(numbers), "first": numbers[:10]} for name, numbers in self.faults.items()},
            "seconds": round(self.seconds, 1),
            "slowest": {"seconds": round(self.slowest[0], 2), "case": self.slowest[1]},
            "largest": {"mb": round(self.largest[0] / 1e6), "case": self.largest[1]},
        }


def signature(outcome: Outcome) -> str:
    """A short description that is the same for faults with the same cause: the kind of fault, the error, and the
    innermost line of Pellucid.
    """
    detail = _LONG_NUMBER.sub("…", outcome.detail)
    if outcome.kind == "wrong" and detail.startswith("the message"):
        return f"wrong: {detail.splitlines()[0]}"
    frames = _FRAME.findall(detail)
    place = f" at {frames[-1][0]}:{frames[-1][1]}" if frames else ""
    if outcome.kind in {"hang", "memory"}:  # A dump of the stack begins with the innermost frame.
        return f"{outcome.kind}{f' at {frames[0][0]}:{frames[0][1]}' if frames else ''}"
    error = next((line for line in reversed(detail.splitlines()) if line and not line.startswith(" ")), "")
    if outcome.kind == "crash":
        error = outcome.detail.splitlines()[0] if outcome.detail else ""
    return f"{outcome.kind}: {error[:100]}{place}"


def table(tallies: list[Tally]) -> str:
    """A table with a row for each target, and below it a line for each fault."""
    rows = [("target", "cases", "ok", "refused", "faults", "slowest", "memory", "took")]
    rows += [
        (
            tally.name,
            f"{tally.cases:,}",
            f"{tally.ok:,}",
            f"{tally.refused.total():,}",
            f"{tally.fault_count:,}",
            f"{tally.slowest[0]:.1f} s",
            f"{tally.largest[0] / 1e6:,.0f} MB",
            f"{tally.seconds:,.0f} s",
        )
        for tally in tallies
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    for tally in tallies:
        for name, numbers in sorted(tally.faults.items(), key=lambda item: -len(item[1])):
            lines.append(f"{len(numbers):6,} × {tally.name}: {name} (cases {', '.join(map(str, numbers[:5]))})")
    return "\n".join(lines)


def write(tallies: list[Tally], seed: int, path: Path) -> None:
    """Write the results of these targets to a JSON file, with the date, the seed and the machine. The file keeps the
    results of other targets.
    """
    from pellucid.measuring.machine import describe

    previous = json.loads(path.read_text()) if path.exists() else {}
    context = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "seed": seed, "machine": describe()}
    content = previous | {tally.name: context | tally.summary() for tally in tallies}
    path.write_text(json.dumps(content, indent=2) + "\n")
