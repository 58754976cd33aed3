"""The vector stores of other libraries, filled and asked as examples/stores shows; ``make test-integrations``."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

STORES = Path(__file__).parents[2] / "examples" / "stores"
NEEDS = {
    "langchain_memory": "langchain_core",
    "langchain_faiss": "langchain_community",
    "llamaindex_vectors": "llama_index.core",
    "lancedb_registry": "lancedb",
    "qdrant_local": "qdrant_client",
}


@pytest.fixture
def example(request, monkeypatch):
    """The example of that name, and the notes that all of them store."""
    monkeypatch.syspath_prepend(str(STORES))
    try:
        importlib.import_module(NEEDS[request.param])
    except ImportError:
        assert os.environ.get("PELLUCID_INTEGRATIONS") != "required"
        pytest.skip(f"needs {NEEDS[request.param]} (make test-integrations)")
    yield importlib.import_module(request.param), importlib.import_module("notes")
    for name in ("notes", request.param):
        del sys.modules[name]


def test_every_example_is_tested():
    assert {file.stem for file in STORES.glob("*.py")} == {"notes", *NEEDS}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Of libraries, by libraries.
@pytest.mark.parametrize("example", NEEDS, indirect=True)
def test_a_store_finds_what_brute_force_finds(example, minilm):
    module, notes = example
    cosines = minilm.embed_documents(notes.NOTES) @ minilm.embed_query(notes.QUESTION)
    best = np.argsort(-cosines)[: notes.COUNT]
    found = module.main()
    assert [text for text, _ in found] == [notes.NOTES[number] for number in best]
    assert [score for _, score in found] == pytest.approx(cosines[best], abs=1e-5)
    assert found[0][0].startswith("To reset a password")
