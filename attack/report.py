"""What a whole attack found: a table for people, a file for the docs."""

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
_NUMBER = re.compile(r"[0-9a-f]{12,}")
_MOST_KEPT = 3


@dataclass
class Tally:
    """What came of the cases of one target.

    Attributes:
        name: the target.
        seconds: that all of it took.
        refused: how often each class of error came.
        faults: the numbers of the cases of each kind of fault.
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
        """Count a case; whether its folder should be kept."""
        self.cases += 1
        self.slowest = max(self.slowest, (outcome.seconds, number))
        self.largest = max(self.largest, (outcome.peak, number))
        if outcome.kind in FAULTS:
            numbers = self.faults.setdefault(signature(outcome), [])
            numbers.append(number)
            return len(numbers) <= _MOST_KEPT
        if outcome.kind == "refused":
            self.refused[outcome.detail] += 1
        else:
            self.ok += 1
        return False

    @property
    def broken(self) -> int:
        """How many cases have a fault."""
        return sum(map(len, self.faults.values()))

    def told(self) -> dict[str, Any]:
        """For the file."""
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
    """What faults of one cause have in common: the kind, the error, and the innermost line of ours."""
    detail = _NUMBER.sub("…", outcome.detail)
    if outcome.kind == "wrong" and detail.startswith("the message"):
        return f"wrong: {detail.splitlines()[0]}"
    frames = _FRAME.findall(detail)
    place = f" at {frames[-1][0]}:{frames[-1][1]}" if frames else ""
    if outcome.kind in {"hang", "memory"}:  # A dump of the stack has the innermost first.
        return f"{outcome.kind}{f' at {frames[0][0]}:{frames[0][1]}' if frames else ''}"
    last = next((line for line in reversed(detail.splitlines()) if line and not line.startswith(" ")), "")
    if outcome.kind == "crash":
        last = outcome.detail.splitlines()[0] if outcome.detail else ""
    return f"{outcome.kind}: {last[:100]}{place}"


def table(tallies: list[Tally]) -> str:
    """For people."""
    rows = [("target", "cases", "ok", "refused", "faults", "slowest", "memory", "took")]
    rows += [
        (
            tally.name,
            f"{tally.cases:,}",
            f"{tally.ok:,}",
            f"{tally.refused.total():,}",
            f"{tally.broken:,}",
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
    """For the docs: the figures of each target that ran, the machine and the day. Those of other targets stay."""
    from pellucid.measuring.machine import describe

    held = json.loads(path.read_text()) if path.exists() else {}
    ran = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "seed": seed, "machine": describe()}
    told = held | {tally.name: ran | tally.told() for tally in tallies}
    path.write_text(json.dumps(told, indent=2) + "\n")
