"""Run ``pellucid`` commands within this process, and read what they print."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid.cli import main


@dataclass(frozen=True)
class CommandResult:
    """A command's exit status and what it printed."""

    status: int
    output: str


def pellucid(*arguments: str | Path, output: Path) -> CommandResult:
    """Run a command and append what it prints to the file ``output``.

    An exception that the command line does not turn into a message is raised here too.
    """
    output.touch()
    size_before = output.stat().st_size
    sys.argv = ["pellucid", *map(str, arguments)]
    status = 0
    with _redirect_output(output):
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    return CommandResult(status, output.read_bytes()[size_before:].decode(errors="replace"))


@contextlib.contextmanager
def _redirect_output(path: Path) -> Iterator[None]:
    """Append what is written to descriptors 1 and 2 to a file. Replacing ``sys.stdout`` is not enough: native
    libraries write to the descriptors themselves.
    """
    originals = [os.dup(1), os.dup(2)]
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, original in zip((1, 2), originals, strict=True):
            os.dup2(original, descriptor)
            os.close(original)
        os.close(file)


def check_output(result: CommandResult, secret: str) -> None:
    """Check that the output is short and has no user's text, no traceback and no control characters."""
    assert "Traceback" not in result.output, "the output has a traceback"
    # The error for a missing column may list the columns' names. In a CSV without a header, those are the first row.
    checked_lines = [line for line in result.output.splitlines() if "no column" not in line]
    assert not any(secret in line for line in checked_lines), "the output quotes a text"
    unprintable = {letter for letter in result.output if not letter.isprintable()} - set("\n\r")
    assert not unprintable, f"the output has control characters: {unprintable!r}"
    assert len(result.output) < 20_000, f"the output has {len(result.output)} characters"
