"""The table on the page of models shows the catalog."""

from __future__ import annotations

import re

from docs.build import DOCS

from pellucid import catalog


def test_the_table_has_a_row_for_each_model_of_the_catalog_and_no_others():
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    table = page.partition("## The catalog")[2].partition("## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")
    ]
    shown = [(name, kind, int(dimensions or 0), text) for name, kind, dimensions, text, _ in rows[1:]]
    assert shown == [
        (entry.short_name, entry.kind, entry.dimensions or 0, entry.description) for entry in catalog.entries()
    ]
    for entry, (*_, wheels) in zip(catalog.entries(), rows[1:], strict=True):
        first = entry.index.wheels[0].requirement if entry.index else ""
        assert re.match(rf"`{re.escape(first)}`" if first else r"$", wheels), entry.name
