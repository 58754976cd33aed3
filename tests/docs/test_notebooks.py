"""Runs the notebooks, and compares their outputs with those that the files have."""

from __future__ import annotations

import re

import pytest
from docs.build import DOCS
from docs.notebooks import NOTEBOOKS, compared_texts, for_site, links, read, run

MAX_BYTES = 100_000
NUMBER = re.compile(r"[-+]?(?:\d*\.)?\d+")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def path(request):
    return request.param


def test_there_is_a_notebook():
    assert [path.name for path in NOTEBOOKS] == ["first_steps.ipynb"]


@pytest.mark.usefixtures("minilm")  # Downloads the model, if no test has done so before.
def test_its_outputs_are_those_of_today(path):
    notebook = read(path)
    for (source, shown), (_, made) in zip(compared_texts(notebook), compared_texts(run(notebook)), strict=True):
        assert len(shown) == len(made), f"run: make docs\n{source}"
        for expected, actual in zip(shown, made, strict=True):
            assert NUMBER.sub("#", actual) == NUMBER.sub("#", expected), f"run: make docs\n{source}"
            for ours, theirs in zip(NUMBER.findall(actual), NUMBER.findall(expected), strict=True):
                # The last digit may differ by one: rounding depends on the CPU.
                digits = max(len(number.partition(".")[2]) for number in (ours, theirs))
                assert float(ours) == pytest.approx(float(theirs), abs=1.01 * 10**-digits), f"run: make docs\n{source}"


def test_it_is_small_and_has_no_errors_and_no_warnings(path):
    assert path.stat().st_size < MAX_BYTES
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run: make docs"
    for cell in cells:
        assert {output.output_type for output in cell.outputs} <= {"stream", "execute_result", "display_data"}
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.source


def test_each_object_that_a_cell_shows_is_one_line(path):
    for cell in read(path).cells:
        for output in cell.get("outputs", ()):
            if plain := output.get("data", {}).get("text/plain"):
                assert len(plain) <= 120, plain


def test_its_links_lead_to_pages(path):
    found = links(read(path))
    assert len(found) > 3
    for target in found:
        assert (path.parent / target).is_file(), target
        assert (path.parent / target).resolve().is_relative_to(DOCS), "for_site() expects links to pages"
    assert "](../" not in for_site(path)
