"""What is attacked, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from attack.child import Attack, Bounds


@dataclass(frozen=True)
class Target:
    """Something to be attacked.

    Attributes:
        prepare: given a folder, makes there what all cases share, and gives what does one case.
        cases: how many make a whole attack.
        short: how many are enough to see that it stands, in CI.
        law: what must hold for every case.
        bounds: of each case.
        jobs: how many cases may run at once; None for any number.
    """

    prepare: Callable[[Path], Attack]
    cases: int
    short: int
    law: str
    bounds: Bounds = field(default_factory=Bounds)
    jobs: int | None = None
