"""The examples in examples/rerankers, with other libraries' pipelines. ``make test-integrations`` runs them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from pellucid import Reranker
from tests import tiny

RERANKERS = Path(__file__).parents[2] / "examples" / "rerankers"
NEEDS = {
    "langchain_reranker": "langchain_classic",
    "llamaindex_postprocessor": "llama_index.core",
    "haystack_ranker": "haystack",
}


@pytest.fixture
def example(request, monkeypatch):
    """The example with this name, and the passages that all examples rank."""
    monkeypatch.syspath_prepend(str(RERANKERS))
    try:
        importlib.import_module(NEEDS[request.param])
    except ImportError:
        assert os.environ.get("PELLUCID_INTEGRATIONS") != "required"
        pytest.skip(f"needs {NEEDS[request.param]} (make test-integrations)")
    yield importlib.import_module(request.param), importlib.import_module("passages")
    for name in ("passages", request.param):
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path) -> str:
    """A model with random weights: its ranking means nothing, but it is the same everywhere."""
    return str(tiny.write_scoring_model(tmp_path / "m"))


def test_every_example_is_tested():
    assert {file.stem for file in RERANKERS.glob("*.py")} == {"passages", *NEEDS}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Other libraries use what other libraries deprecate.
@pytest.mark.parametrize("example", NEEDS, indirect=True)
def test_a_pipeline_ranks_as_the_reranker_does(example, folder):
    module, passages = example
    ranked = Reranker(folder).rank(passages.QUESTION, passages.PASSAGES, passages.COUNT)
    assert module.main(folder) == [passages.PASSAGES[best.index] for best in ranked]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("example", ["haystack_ranker"], indirect=True)
def test_a_haystack_pipeline_keeps_the_options(example, folder):
    module, passages = example
    from haystack import Pipeline

    pipeline = Pipeline()
    pipeline.add_component("ranker", module.PellucidRanker(folder, top_k=2, dtype="int8"))
    documents = [module.Document(content=passage) for passage in passages.PASSAGES]
    found = pipeline.run({"ranker": {"query": passages.QUESTION, "documents": documents}})["ranker"]["documents"]
    expected = Reranker(folder, dtype="int8").rank(passages.QUESTION, passages.PASSAGES, 2)
    assert [(each.content, each.score) for each in found] == [
        (passages.PASSAGES[best.index], best.score) for best in expected
    ]
    saved = pipeline.to_dict()["components"]["ranker"]["init_parameters"]
    own = {"meta_fields_to_embed": [], "embedding_separator": "\n", "score_threshold": None}
    assert saved == {"model": folder, "top_k": 2, "dtype": "int8", **own}
