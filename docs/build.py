"""Writes what a program can write of the pages: ``make docs``.

Below a block of Python stands what it prints; below ``pellucid … --help``, what that says; and ``docs/errors.md`` is
made from the tree of errors and ``docs/errors.toml``. Lines that install an extra are written as ``docs/installing.py``
has them. The tests in ``tests/docs`` do the same and compare, so no number, no option and no error on a page can differ
from what the library has. Numbers are printed with few digits, so that all machines agree on them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from docs.running import Printed, run

from docs import errors_page, installing

DOCS = Path(__file__).parent
PAGES = sorted(DOCS.rglob("*.md"))


def build(page: str) -> str:
    """A page with the output of its code, and of its ``--help``.

    Args:
        page: Markdown.

    Returns:
        The same Markdown, with each such output as it is now.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = list(run(page, Path(folder)))
    for printed in reversed(found):  # From the last, so that the places of those before it stay.
        start = printed.block.start
        page = page[:start] + _with(page[start:], printed)
    return page


def _with(rest: str, printed: Printed) -> str:
    """The rest of a page, from the code of a block on, in which its output is what was printed."""
    if printed.command:
        if not printed.command.endswith("--help"):
            return rest
        shown = f"$ {printed.command}\n"
        return rest.replace(shown + (printed.expected or ""), shown + printed.actual, 1)
    code = f"{printed.block.code}```\n"
    output = f"\n```text\n{printed.actual}```\n" if printed.actual else ""
    return code + output + rest.removeprefix(code).removeprefix(f"\n```text\n{printed.expected}```\n")


def main() -> None:
    """Build every page in place."""
    for path in installing.files():
        path.write_text(installing.with_commands(path.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "errors.md").write_text(errors_page.page(), encoding="utf-8")
    for path in PAGES:
        try:
            path.write_text(build(path.read_text(encoding="utf-8")), encoding="utf-8")
        except Exception as error:
            error.add_note(f"on the page {path}")
            raise


if __name__ == "__main__":
    main()
