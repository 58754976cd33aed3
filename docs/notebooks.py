"""Runs the notebooks of ``examples/`` and keeps their outputs, so that a reader sees them before running anything.

``make docs`` writes the outputs into the files. ``tests/docs/test_notebooks.py`` runs the notebooks too, and compares.
The output of a cell with the tag "varies", such as times or a progress bar, is not compared.
"""

from __future__ import annotations

import copy
import html
import re
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
_LINK = re.compile(r"\]\((?P<target>[^)#:]+)[^)]*\)")


def read(path: Path) -> Any:
    """The notebook in a file."""
    return nbformat.read(path, as_version=4)


def run(notebook: Any) -> Any:
    """Run a notebook in an empty folder. Returns it with its new outputs, and with nothing else that changes.

    Raises:
        CellExecutionError: a cell raised an error.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as folder:
        client = nbclient.NotebookClient(
            notebook,
            timeout=300,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,  # A progress bar is drawn many times; its last state is enough.
        )
        client.execute()
    # Only what does not depend on the version of Python.
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def write(notebook: Any, path: Path) -> None:
    """Write a notebook to a file."""
    nbformat.write(notebook, path)


def compared_texts(notebook: Any) -> list[tuple[str, list[str]]]:
    """The source of each code cell whose output does not vary, with the texts of its outputs."""
    return [
        (cell.source, [text for output in cell.outputs for text in _texts(output)])
        for cell in notebook.cells
        if cell.cell_type == "code" and "varies" not in cell.metadata.get("tags", ())
    ]


def _texts(output: Any) -> list[str]:
    data = output.get("data", {})
    return [html.unescape(text) for text in (output.get("text", ""), *(data[kind] for kind in sorted(data))) if text]


def links(notebook: Any) -> list[str]:
    """The targets of the links in a notebook's prose."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return [link["target"] for source in cells for link in _LINK.finditer(source)]


def for_site(path: Path) -> str:
    """The content of a notebook for the site, whose pages are in another folder than the examples."""
    return path.read_text(encoding="utf-8").replace("](../docs/", "](")
