"""One text beside the texts of a file: what ``pellucid similar`` and ``pellucid rerank`` share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pellucid.cli.hints import check_order, hint_at_path, is_file
from pellucid.cli.lines import Lines, read_lines, show
from pellucid.cli.terminal import print_record
from pellucid.cli.texts import read_text
from pellucid.errors import OptionError, printable
from pellucid.types import Ranked


def read_text_and_lines(text: str, file: Path | None, column: str, call: str, *, place: str) -> tuple[str, Lines]:
    """Read the text of a call, and the texts of its file.

    Args:
        text: the text; ``-`` for all of standard input.
        file: the file; None or ``-`` for standard input.
        column: the column with the texts, for tables.
        call: the command, for messages.
        place: what the command calls the text.

    Raises:
        OptionError: both are standard input, the file is missing, or the two were swapped.
        TextError: a text cannot be read; see :func:`~pellucid.cli.lines.read_lines`.
    """
    check_order(text, file, call, place=place)
    if file is None and sys.stdin.isatty() and is_file(text):
        example = f"{call} {place.upper()} {shlex.quote(printable(text))}"
        raise OptionError(f"give a {place} too, before the file: {example}")
    if text == "-":
        if file is None or str(file) == "-":
            raise OptionError(f"only one of the {place} and the file can be standard input.")
        text = read_text()
    else:
        hint_at_path(text, f"{call} - FILE < {{}}")
    return text, read_lines(file, column)


def print_records(lines: Lines, matches: Sequence[Ranked], values: Sequence[float], name: str) -> None:
    """Print a line of JSON for each match. ``values`` are the scores as they are printed, under this name."""
    for rank, (match, value) in enumerate(zip(matches, values, strict=True), 1):
        number, text = lines.numbers[match.index], lines.texts[match.index]
        print_record({"rank": rank, name: value, lines.unit: number, "text": text})


def print_table(lines: Lines, matches: Sequence[Ranked], values: Sequence[str], name: str, *, full: bool) -> None:
    """Print a table of matches for people. ``values`` are the scores as they are shown, under this name."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(name, justify="right", no_wrap=True)
    table.add_column(lines.unit, justify="right", no_wrap=True)
    table.add_column("text", ratio=1)
    for match, value in zip(matches, values, strict=True):
        table.add_row(value, f"{lines.numbers[match.index]}", show(lines.texts[match.index], full=full))
    Console(highlight=False).print(table if matches else "no texts")
