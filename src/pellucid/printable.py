"""What may go to a terminal or into a message: names and texts of others could hold commands to the terminal."""

from __future__ import annotations

import os

JOINER = "\u200d"
"""It joins emoji that are made of several."""


def printable(text: str | os.PathLike[str], *, keep: str = "") -> str:
    r"""A text, a name or a path with its control characters and odd bytes written out, such as ``\x1b``.

    Args:
        text: any text.
        keep: control characters that may stay.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in os.fspath(text)
    )
