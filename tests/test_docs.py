"""The pages of docs/how say what the code on them prints."""

from __future__ import annotations

import re

import pytest
from docs.build import PAGES, build

NUMBER = re.compile(r"[-+]?\d+\.\d+")


def test_there_are_pages():
    assert len(PAGES) == 9


@pytest.mark.usefixtures("minilm")  # Fetches the model, if no test has done so before.
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_each_page_is_as_the_code_gives_it(path, monkeypatch):
    page = path.read_text(encoding="utf-8")
    built = build(page)
    assert NUMBER.sub("#", built) == NUMBER.sub("#", page), "run: make docs"
    for ours, theirs in zip(NUMBER.findall(built), NUMBER.findall(page), strict=True):
        # Another instruction set may round the last printed digit the other way.
        digits = len(theirs.rpartition(".")[2])
        assert float(ours) == pytest.approx(float(theirs), abs=1.01 * 10**-digits), "run: make docs"


def test_a_page_whose_code_prints_something_else_is_changed():
    page = "```python\nprint(1)\n```\n\n```text\n2\n```\n\n```python\nx = 1\n```\n"
    assert build(page) == page.replace("2\n", "1\n")


def test_links_between_the_pages_lead_somewhere():
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), target
