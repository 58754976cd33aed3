"""Importing loads nothing heavy, opens no file and starts nothing.

Each test imports in a new process, and an audit hook there records what happens.
"""

from __future__ import annotations

import pytest

import pellucid
from tests.hub_server import environment, python

HEAVY = {"torch", "transformers", "pydantic", "httpx", "httpx2", "huggingface_hub", "langchain_core", "rich", "typer"}
WATCH = """
import sys
events = []
def watch(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.system"):
        events.append(event)
    if event == "open" and isinstance(arguments[0], str) and not arguments[0].endswith((".py", ".pyc", ".so")):
        if not any(part in arguments[0] for part in ("/lib/", "/proc/", "/sys/", "/etc/")):
            events.append(f"open {arguments[0]}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        events.append(f"write {arguments[0]}")
sys.dont_write_bytecode = True
sys.addaudithook(watch)
"""


def modules_after(tmp_path, statement: str) -> set[str]:
    """The modules that a new process has loaded after ``statement``, which may open no file and no connection."""
    code = (
        f"{WATCH}\n{statement}\nassert not events, events\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    process = python(code, environment(tmp_path))
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


def test_importing_the_package_loads_nothing_heavy_and_opens_nothing(tmp_path):
    loaded = modules_after(tmp_path, "import pellucid")
    assert not loaded & (HEAVY | {"numpy", "tokenizers", "safetensors", "tqdm"})
    assert list(tmp_path.iterdir()) == []


def test_importing_the_embedder_loads_numpy_and_nothing_else_that_is_heavy(tmp_path):
    loaded = modules_after(tmp_path, "from pellucid import Embedder")
    assert "numpy" in loaded
    assert not loaded & (HEAVY | {"tokenizers", "tqdm"})
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_starts_without_packages_that_only_some_commands_need(tmp_path):
    loaded = modules_after(tmp_path, "import pellucid.cli")
    assert not loaded & {"torch", "transformers", "pydantic", "httpx", "httpx2", "huggingface_hub", "tokenizers"}


def test_the_public_names():
    assert sorted(pellucid.__all__) == [
        "Classifier",
        "Embedder",
        "Encoder",
        "MultiVectorEmbedder",
        "MultiVectors",
        "PellucidError",
        "Reranker",
        "SparseEmbedder",
        "SparseVectors",
        "TokenBatch",
        "TruncationWarning",
        "__version__",
        "cluster",
        "errors",
        "near_duplicates",
        "nearest",
        "similarity",
    ]
    assert dir(pellucid) == sorted(pellucid.__all__)
    assert all(getattr(pellucid, name) is not None for name in pellucid.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pellucid' has no attribute 'Embeder'"):
        pellucid.Embeder  # noqa: B018
