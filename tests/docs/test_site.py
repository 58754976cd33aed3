"""Every page is in a table of contents. `make docs` runs Sphinx, which checks the rest."""

from __future__ import annotations

from pathlib import Path

from docs.blocks import blocks
from docs.build import DOCS, PAGES
from docs.notebooks import NOTEBOOKS

PATHS = [*PAGES, *(DOCS / path.name for path in NOTEBOOKS)]


def entries(page: Path) -> list[Path]:
    """The pages that the tables of contents on a page list."""
    trees = [block.code for block in blocks(page.read_text(encoding="utf-8")) if block.language == "{toctree}"]
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    return [next(path for path in PATHS if path.with_suffix("") == page.parent / line) for line in lines]


def test_each_page_is_in_one_table_of_contents():
    listed = [entry for page in PAGES for entry in entries(page)]
    assert sorted(listed) == sorted(set(PATHS) - {DOCS / "index.md"}), "add it to a toctree of docs/index.md"
