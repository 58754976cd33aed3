"""Runs the code on the pages of ``docs/how`` and writes what it prints below it: ``make docs``.

A page has blocks of Python. They run in order, in one namespace. Where a block of text follows, it is replaced by what
the code before it printed. ``tests/test_docs.py`` does the same and compares, so no number on a page can differ from
what the library gives. Numbers are printed with few digits, so that all machines agree on them.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGES = sorted((Path(__file__).parent / "how").glob("*.md"))
_BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)


def build(page: str) -> str:
    """A page with the output of its code.

    Args:
        page: Markdown.

    Returns:
        The same Markdown, with each block of output as the code prints it now.
    """
    namespace: dict[str, object] = {}

    def run(match: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(match["code"], "<page>", "exec"), namespace)
        code = f"```python\n{match['code']}```\n"
        lines = "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())
        return f"{code}\n```text\n{lines}```\n" if lines else code

    return _BLOCK.sub(run, page)


def main() -> None:
    """Build every page in place."""
    for path in PAGES:
        path.write_text(build(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
