"""Checks of option values, made before any work starts."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence

import numpy as np

from pellucid.errors import OptionError


def check_choice(option: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is not one of ``choices``.

    Strings are compared by value, and everything else by identity, so 1 is not True.

    Raises:
        OptionError: ``value`` is not one of ``choices``.
    """
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise OptionError(f"{option}={reprlib.repr(value)} is not one of {', '.join(map(repr, choices))}.", option)


def check_integer(option: str, value: object, low: int, high: int, description: str) -> int:
    """Return ``value`` as an ``int``, if it is a whole number from ``low`` to ``high``.

    ``description`` ends the message "… must be a whole number", as in "from 1 to 8".

    Raises:
        OptionError: ``value`` is not a whole number, or is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise OptionError(f"{option}={reprlib.repr(value)} must be a whole number {description}.", option)
    return int(value)
