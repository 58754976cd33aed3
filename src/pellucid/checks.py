"""Checks of options, made before any work."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

import numpy as np

from pellucid.errors import OptionError


def check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is none of ``choices``: one of its texts, or the very object, so that 1 is not True."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise OptionError(f"{option}={reprlib.repr(value)} is not one of {', '.join(map(repr, choices))}.")


def check_whole(option: str, value: object, low: int, high: int, what: str) -> int:
    """A whole number from ``low`` to ``high``; ``what`` says what that range is.

    Raises:
        OptionError: it is no such number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise OptionError(f"{option}={reprlib.repr(value)} must be a whole number {what}.")
    return int(value)
