"""The pages' tables of speed are those of the runs that they name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MARK = "<!-- table of run.json: short, without fastembed -->\n"


@pytest.fixture
def fill(monkeypatch, tmp_path):
    """The function that writes tables into a page, with a run of two contenders on texts of 1,000 tokens in all."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import pages

    baseline = {"seconds": [[2.0], [4.0], [2.0]], "lowest_cosine": 1.0, "peak_rss_mb": 900.4}
    ours = {"seconds": [[1.0], [1.0], [0.5]], "lowest_cosine": 0.99651, "peak_rss_mb": 130.0}
    short = {"texts": {"tokens": 1000}, "peaks": [], "skipped": {}}
    short["contenders"] = {"sentence-transformers": baseline, "fastembed": baseline, "pellucid-int8": ours}
    query = {"contenders": {"pellucid-int8": {"seconds": [[0.0004], [0.00044]]}}}
    workloads = {"short": short, "query": query}
    result = {"models": {"m": {"products_per_token": 1, "workloads": workloads}}}
    result["packages"] = {"peers": {"sentence-transformers": "6.2.0"}}
    (tmp_path / "run.json").write_text(json.dumps(result))
    return lambda page: pages.fill(page, tmp_path)


def test_the_pages_have_the_tables_of_their_runs():
    command = [sys.executable, str(ROOT / "benchmarks" / "pages.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_page_with_such_a_comment_is_checked(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import pages

    found = [page for page in (ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md")) for page in page]
    marked = {str(page.relative_to(ROOT)) for page in found if pages.TABLE.search(page.read_text(encoding="utf-8"))}
    assert marked <= set(pages.PAGES)
    assert "README.md" in marked


def test_medians_of_rounds_and_of_their_ratios(fill):
    assert fill(f"before\n\n{MARK}\nafter\n") == (
        f"before\n\n{MARK}\n"
        "| | tokens/s | speed-up | lowest cosine | peak RSS | one query | process start to first vector |\n"
        "|---|--:|--:|--:|--:|--:|--:|\n"
        "| sentence-transformers 6.2 | 500 | 1.0 | 1 | 900 MB | – | – |\n"
        "| **Pellucid, int8** | **1,000** | **4.0** | 0.997 | 130 MB | 0.42 ms | – |\n"
        "\nafter\n"
    )


def test_a_table_is_written_again_in_its_place(fill):
    once = fill(f"{MARK}\nafter\n")
    assert fill(re.sub("1,000", "9,999", once)) == once
    assert fill(once) == once


@pytest.mark.parametrize(
    ("mark", "error"),
    [
        ("<!-- table of lost.json: short -->\n", FileNotFoundError),
        ("<!-- table of run.json: colours -->\n", KeyError),
    ],
)
def test_a_table_that_cannot_be_made_is_an_error(fill, mark, error):
    with pytest.raises(error):
        fill(mark)
