"""Programs without PyTorch, with Pellucid in place of sentence-transformers. ``make test-integrations`` runs them."""

from __future__ import annotations

import importlib.util
import json
import os

import pytest

from tests.programs.running import FROZEN, differences, run_program

PROGRAMS = ("bertopic", "chroma", "haystack", "keybert", "lancedb", "langchain", "llama_index", "skrub")


@pytest.mark.skipif("PELLUCID_INTEGRATIONS" not in os.environ, reason="make test-integrations runs this")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_results_are_those_of_the_real_library(name, minilm):
    missing = [package for package in ("torch", "sentence_transformers") if importlib.util.find_spec(package)]
    assert not missing, "here, neither may be installed"
    found = run_program(name, minilm.files.folder, with_pellucid=True)
    assert differences(found, json.loads(FROZEN.read_text(encoding="utf-8"))[name]) == []


@pytest.mark.parametrize(
    ("found", "expected", "count"),
    [
        ({"a": [1, 0.5]}, {"a": [1, 0.500001]}, 0),
        ({"a": [1, 0.5]}, {"a": [1, 0.6]}, 1),
        ({"a": [1, 0.5]}, {"a": [2, 0.6]}, 2),
        ([1.0], [1], 1),
        ([1], [1, 2], 1),
        ({"a": 1}, {"b": 1}, 1),
        ("x", "x", 0),
    ],
)
def test_differences_are_found(found, expected, count):
    assert len(differences(found, expected)) == count
