"""Writes the tables of results into the pages that show them.

A page says above a table which run it is from, and the table is made from that file::

    <!-- table of 2026-11-24-amd-epyc-minilm.json: short, without fastembed -->

``python benchmarks/pages.py`` writes them again; with ``--check`` it only says which pages differ.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from result_tables import TABLES

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "docs/performance.md", "docs/server.md", "benchmarks/README.md")
TABLE = re.compile(r"(<!-- table of (\S+\.json): (\w+)(?:, without ([\w, -]+?))? -->\n)(?:\n?(?:\|.*\n)+)*")


def fill(page: str, results: Path = RESULTS) -> str:
    """The page with its tables made from the results.

    Raises:
        OSError: there is no such result.
        KeyError: there is no such table.
    """

    def table(match: re.Match[str]) -> str:
        mark, file, name, without = match.groups()
        result = json.loads((results / file).read_text(encoding="utf-8"))
        lines = TABLES[name](result, without.split(", ") if without else ())
        return "\n".join([mark, *lines, ""])

    return TABLE.sub(table, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page differs")
    args = parser.parse_args()
    differing = []
    for name in PAGES:
        old = (ROOT / name).read_text(encoding="utf-8")
        new = fill(old)
        if new == old:
            continue
        differing.append(name)
        if not args.check:
            (ROOT / name).write_text(new, encoding="utf-8")
            print(f"wrote {name}")
    if differing and args.check:
        sys.exit(f"{', '.join(differing)}: not the results' tables; run benchmarks/pages.py")


if __name__ == "__main__":
    main()
