"""``pellucid`` as people call it, within this process, and what it printed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid.cli import main


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    status: int
    output: str


def pellucid(*arguments: str | Path, output: Path) -> Said:
    """Run a command, whose output goes to the file ``output``. What is raised and not turned into a line goes on."""
    output.touch()
    before = output.stat().st_size
    sys.argv = ["pellucid", *map(str, arguments)]
    status = 0
    with _printing_to(output):
        try:
            main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    return Said(status, output.read_bytes()[before:].decode(errors="replace"))


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Let descriptors 1 and 2 be the end of this file: libraries print past ``sys.stdout``."""
    held = [os.dup(1), os.dup(2)]
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, before in zip((1, 2), held, strict=True):
            os.dup2(before, descriptor)
            os.close(before)
        os.close(file)


def check_output(said: Said, secret: str) -> None:
    """No text of a user is printed, and nothing that a terminal would obey."""
    assert "Traceback" not in said.output, "a traceback"
    # The names of columns may be told, and of a CSV without a header the first row is taken for them.
    told = [line for line in said.output.splitlines() if "no column" not in line]
    assert not any(secret in line for line in told), "a text is quoted"
    strange = {letter for letter in said.output if not letter.isprintable()} - set("\n\r")
    assert not strange, f"control characters are printed: {strange!r}"
    assert len(said.output) < 20_000, f"{len(said.output)} characters are printed"
