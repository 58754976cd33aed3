"""Values as JSON has them (RFC 8259), which has no number that is not finite, and no bytes."""

from __future__ import annotations

import math
from typing import Any


def json_value(value: Any) -> Any:
    r"""A value that JSON has.

    A number that is not finite becomes null, bytes become hexadecimal digits, and what JSON does not have becomes text.

    >>> json_value({"a": [float("inf"), b"\xff", 1.5]})
    {'a': [None, 'ff', 1.5]}
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return value.hex()
        case list() | tuple():
            return [json_value(item) for item in value]
        case dict():
            return {str(key): json_value(item) for key, item in value.items()}
        case None | bool() | int() | str():
            return value
    return str(value)
