"""What may go to a terminal: texts of files and names of others could hold commands to it."""

from __future__ import annotations

from pellucid.errors import JOINER, printable

_C1 = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def escaped(text: str) -> str:
    r"""A text with its control characters written out, such as ``\x1b``. Line ends and tabs stay."""
    return printable(text, keep=f"\n\t{JOINER}")


def escaped_json(line: str) -> str:
    """JSON that says the same, without those control characters that JSON allows as they are."""
    return line.translate(_C1)
