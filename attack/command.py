"""``pellucid`` as people call it, within this process, and what it printed."""

from __future__ import annotations

import sys
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
    before = output.stat().st_size
    sys.argv = ["pellucid", *map(str, arguments)]
    status = 0
    try:
        main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    return Said(status, output.read_bytes()[before:].decode(errors="replace"))


def check_output(said: Said, secret: str) -> None:
    """No text of a user is printed, and nothing that a terminal would obey."""
    assert "Traceback" not in said.output, "a traceback"
    assert secret not in said.output, "a text is quoted"
    strange = {letter for letter in said.output if not letter.isprintable()} - set("\n\r")
    assert not strange, f"control characters are printed: {strange!r}"
    assert len(said.output) < 20_000, f"{len(said.output)} characters are printed"
