"""What may go to a terminal: texts of files and names of others could hold commands to it."""

from __future__ import annotations

_KEPT = "\n\t\u200d"
"""Line ends, tabs, and what joins emoji that are made of several."""
_C1 = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def escaped(text: str) -> str:
    r"""A text with its control characters written out, such as ``\x1b``. Line ends and tabs stay."""
    return "".join(letter if letter.isprintable() or letter in _KEPT else repr(letter)[1:-1] for letter in text)


def escaped_in_line(text: str) -> str:
    """A text for one line of output: :func:`escaped`, and so are line ends and tabs."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def escaped_json(line: str) -> str:
    """JSON that says the same, without those control characters that JSON allows as they are."""
    return line.translate(_C1)
