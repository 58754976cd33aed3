"""Short ``repr``: what a notebook shows of an object at the end of a cell. One line, whatever the object holds."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any, Protocol

from pellucid.errors import plural

MAX_CHARACTERS = 120
_MAX_VALUE_CHARACTERS = 60
_MAX_ITEMS = 4
"""A tuple, a list or a mapping with more items is shown as their number."""


_COLLECTIONS = (tuple, list, Mapping, AbstractSet)


def short_repr(self: Any) -> str:
    """A dataclass's ``repr``: its name, and as many of its fields as fit. To use it: ``__repr__ = short_repr``."""
    start, end = f"{type(self).__name__}(", ")"
    shown = [f"{field.name}={short_value(getattr(self, field.name))}" for field in fields(self) if field.repr]
    if len(whole := start + ", ".join(shown) + end) <= MAX_CHARACTERS:
        return whole
    while shown and len(start + ", ".join([*shown, "…"]) + end) > MAX_CHARACTERS:
        shown.pop()
    return start + ", ".join([*shown, "…"]) + end


def short_value(value: Any) -> str:
    """A value of a field: an array by its type and shape, a collection of many items by their number."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, _COLLECTIONS) and len(value) > _MAX_ITEMS:
        return f"<{len(value):,} items>"
    if isinstance(value, str):
        return short_text(value, _MAX_VALUE_CHARACTERS)
    text = repr(value)
    if len(text) <= _MAX_VALUE_CHARACTERS:
        return text
    return f"<{plural(len(value), 'item')}>" if isinstance(value, _COLLECTIONS) else f"{type(value).__name__}(…)"


class _Engine(Protocol):
    name: str
    dtype: str


def engine_and_dtype(engine: _Engine) -> str:
    """What the ``repr`` of a task says of its engine: its name, and its dtype if that is not float32."""
    return f"engine={engine.name!r}" + (f", dtype={engine.dtype!r}" if engine.dtype != "float32" else "")


def short_text(text: str, characters: int = 40) -> str:
    """A text in quotes, with control characters escaped, and without its middle if it is long."""
    shortener = reprlib.Repr()
    shortener.maxstring = characters
    shortener.fillvalue = "…"
    return shortener.repr(text)
