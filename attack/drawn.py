"""Random choices under the names that atheris uses, so the attack can use the generators of ``fuzz/``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any


class RandomDataProvider:
    """A stand-in for ``atheris.FuzzedDataProvider`` that takes its choices from a ``random.Random``."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def ConsumeBool(self) -> bool:  # noqa: N802
        return self._rng.random() < 0.5

    def ConsumeProbability(self) -> float:  # noqa: N802
        return self._rng.random()

    def ConsumeIntInRange(self, low: int, high: int) -> int:  # noqa: N802
        return self._rng.randint(low, high)

    def ConsumeInt(self, size: int) -> int:  # noqa: N802
        return self._rng.randrange(-(1 << (8 * size - 1)), 1 << (8 * size - 1))

    def ConsumeBytes(self, size: int) -> bytes:  # noqa: N802
        return self._rng.randbytes(size)

    def ConsumeUnicode(self, size: int) -> str:  # noqa: N802
        highest = self._rng.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF))
        return "".join(chr(self._rng.randint(0, highest)) for _ in range(size))

    def PickValueInList(self, values: Sequence[Any]) -> Any:  # noqa: N802
        return self._rng.choice(values)
