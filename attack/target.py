"""The description of a target: what it attacks, and with how many cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from attack.child import Case, Limits


@dataclass(frozen=True)
class Target:
    """A part of Pellucid to attack.

    Attributes:
        prepare: a function that writes the files that all cases share into a folder, and returns the case function.
        cases: the number of cases in a full attack.
        short: the number of cases with ``--short``, as CI runs it: enough to see that the target works.
        invariant: what must hold for every case, in words.
        limits: the limits for each case.
        jobs: how many cases may run at the same time; None for no limit.
    """

    prepare: Callable[[Path], Case]
    cases: int
    short: int
    invariant: str
    limits: Limits = field(default_factory=Limits)
    jobs: int | None = None
