from __future__ import annotations

import io
import sys

import nbclient
import nbformat
import pytest

from pellucid.files.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch, error, *, show: bool) -> str:
    monkeypatch.setattr(sys, "stderr", error)
    with progress(3, show=show) as advance:
        advance(1)
        advance(2)
    return error.getvalue()


def test_on_a_terminal_a_bar_counts_texts_if_asked_for(monkeypatch):
    assert "3/3" in drawn(monkeypatch, Terminal(), show=True)
    assert drawn(monkeypatch, Terminal(), show=False) == ""


def test_elsewhere_nothing_is_drawn(monkeypatch):
    assert drawn(monkeypatch, io.StringIO(), show=True) == ""


CELL = """
import sys
{before}
from pellucid.files.progress import progress

with progress(3, show=True) as advance:
    advance(3)
"""


# None makes the import fail, as if the package were not installed.
@pytest.mark.parametrize("before", ["", "sys.modules['ipywidgets'] = None"], ids=["as it is", "without ipywidgets"])
def test_in_a_notebook_a_bar_is_drawn_below_the_cell_without_a_warning(before):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.format(before=before))])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    shown = "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "3/3" in shown
    assert "Warning" not in shown
    assert [output for output in outputs if output.get("name") == "stderr"] == []
