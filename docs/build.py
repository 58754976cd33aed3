"""Writes the parts of the documentation that a program can write: ``make docs``.

- Below each block of Python, it writes what the code prints.
- Below each ``pellucid … --help``, it writes the help text.
- It runs the notebooks of ``examples/`` and writes their outputs into them (``docs/notebooks.py``).
- It makes ``docs/errors.md`` from the tree of errors and ``docs/errors.toml``.
- Commands that install an extra get the form that ``docs/installing.py`` gives them.

The tests in ``tests/docs`` do the same and compare the results with the pages. So every number, option and error on a
page is what the library has. Print numbers with few digits, because their last digits differ between machines.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from docs.running import Output, run

from docs import errors_page, installing, notebooks

DOCS = Path(__file__).parent
PAGES = sorted(DOCS.rglob("*.md"))


def build(page: str) -> str:
    """A page with the current output of its Python code and of its ``--help`` commands.

    Args:
        page: Markdown.

    Returns:
        The same Markdown, with these outputs replaced.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = list(run(page, Path(folder)))
    for output in reversed(outputs):  # From the last to the first, so the earlier blocks keep their positions.
        start = output.block.start
        page = page[:start] + _replace_output(page[start:], output)
    return page


def _replace_output(rest: str, output: Output) -> str:
    """Replace the output of one block. ``rest`` is the page's text from the block's code on."""
    if output.command:
        if not output.command.endswith("--help"):
            return rest
        prompt = f"$ {output.command}\n"
        return rest.replace(prompt + (output.expected or ""), prompt + output.actual, 1)
    code = f"{output.block.code}```\n"
    text = f"\n```text\n{output.actual}```\n" if output.actual else ""
    return code + text + rest.removeprefix(code).removeprefix(f"\n```text\n{output.expected}```\n")


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
    for path in notebooks.NOTEBOOKS:
        notebooks.write(notebooks.run(notebooks.read(path)), path)


if __name__ == "__main__":
    main()
