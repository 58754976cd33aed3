"""Every line that installs an extra of Pellucid, written as ``pellucid.errors`` says that it is done today.

``make docs`` writes them into the pages; ``tests/docs/test_installing.py`` looks for one that says something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pellucid.errors import INSTALL_EXTRA

ROOT = Path(__file__).parents[1]
_COMMAND = re.compile(r"pip install '(?:pellucid|\.)\[(?P<extra>\w+)\]'")


def files() -> Iterator[Path]:
    """Every file that may tell someone how to install Pellucid."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("benchmarks", "deploy", "docs", "examples", "native", "src"):
        yield from sorted(
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".md", ".py", ".service", ".toml", ".yaml"} and path != Path(__file__)
        )


def with_commands(text: str) -> str:
    """A text in which each command that installs an extra is today's."""
    return _COMMAND.sub(lambda found: INSTALL_EXTRA.format(extra=found["extra"]), text)


def extras(text: str) -> set[str]:
    """The extras that a text says how to install."""
    return {found["extra"] for found in _COMMAND.finditer(text)}
