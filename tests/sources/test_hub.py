"""What a download from the Hub shows. tests/test_lifecycle.py has the downloads themselves."""

from __future__ import annotations

import subprocess
import sys

import nbclient
import nbformat
import pytest

from tests import tiny
from tests.hub_server import Hub, environment

DOWNLOAD = "from pellucid import Embedder\nEmbedder('some/model').dimensions"


@pytest.fixture
def env(tmp_path):
    with Hub({"some/model": {"main": tiny.write_model(tmp_path / "repository")}}) as hub:
        (tmp_path / "home").mkdir()
        yield environment(tmp_path / "home", HF_ENDPOINT=hub.url)


@pytest.mark.parametrize("disabled", [False, True])
def test_in_a_notebook_without_ipywidgets_a_download_shows_a_bar_and_no_warning(env, disabled):
    if disabled:
        env["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    cell = nbformat.v4.new_code_cell(f"import sys\nsys.modules['ipywidgets'] = None\n{DOWNLOAD}")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=env)
    outputs = notebook.cells[0].outputs
    assert outputs[-1].data["text/plain"] == "16"
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert ("model.safetensors: 100%" in printed) == (not disabled)


def test_a_router_brings_the_folders_that_it_names(tmp_path):
    """They are known only when its file is here."""
    script = (
        "from pellucid import SparseEmbedder\n"
        "e = SparseEmbedder('some/model')\n"
        "print(len(e.embed_query('the cat').values), e.files.source)\n"
        "e = SparseEmbedder('some/model', local_files_only=True)\n"
        "print(len(e.embed_query('the cat').values), e.files.source)\n"
    )
    with Hub({"some/model": {"main": tiny.write_inference_free_model(tmp_path / "repository")}}) as hub:
        (tmp_path / "home").mkdir()
        env = environment(tmp_path / "home", HF_ENDPOINT=hub.url)
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert (first.split(" ", 1)[1], second.split(" ", 1)[1]) == ("Hugging Face Hub", "Hugging Face cache")
    assert first[0] == second[0] != "0"
