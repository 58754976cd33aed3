"""Keeps the commands that install an extra of Pellucid the same everywhere: as ``pellucid.errors`` gives them.

``make docs`` writes them into the files. ``tests/docs/test_installing.py`` fails if a file has another command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pellucid.errors import INSTALL_EXTRA

ROOT = Path(__file__).parents[1]
_COMMAND = re.compile(r"pip install '(?:pellucid|\.)\[(?P<extra>\w+)\]'")


def files() -> Iterator[Path]:
    """Every file that may have instructions to install Pellucid."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("benchmarks", "deploy", "docs", "examples", "native", "src"):
        yield from sorted(
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".md", ".py", ".service", ".toml", ".yaml"} and path != Path(__file__)
        )


def with_commands(text: str) -> str:
    """The text, with each command that installs an extra in its current form."""
    return _COMMAND.sub(lambda command: INSTALL_EXTRA.format(extra=command["extra"]), text)


def extras(text: str) -> set[str]:
    """The extras that the commands in a text install."""
    return {command["extra"] for command in _COMMAND.finditer(text)}
