"""The examples in examples/stores, with the vector stores of other libraries. ``make test-integrations`` runs them."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder, MultiVectorEmbedder, SparseEmbedder
from tests import multi_vector_models, tiny

STORES = Path(__file__).parents[2] / "examples" / "stores"
NEEDS = {
    "langchain_memory": "langchain_core",
    "langchain_faiss": "langchain_community",
    "llamaindex_vectors": "llama_index.core",
    "lancedb_registry": "lancedb",
    "qdrant_local": "qdrant_client",
    "qdrant_sparse": "qdrant_client",
    "qdrant_multi_vector": "qdrant_client",
}
OTHER_VECTORS = ("qdrant_sparse", "qdrant_multi_vector")
"""Examples whose vectors are not dense. Their models are on the Hub only, so a tiny model stands in."""


@pytest.fixture
def example(request, monkeypatch):
    """The example with this name, and the notes that all examples store."""
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Other libraries use what other libraries deprecate.
@pytest.mark.parametrize("example", [name for name in NEEDS if name not in OTHER_VECTORS], indirect=True)
def test_a_store_finds_the_same_notes_as_brute_force(example, minilm):
    module, notes = example
    cosines = minilm.embed_documents(notes.NOTES) @ minilm.embed_query(notes.QUESTION)
    best = np.argsort(-cosines)[: notes.COUNT]
    found = module.main()
    assert [text for text, _ in found] == [notes.NOTES[number] for number in best]
    assert [score for _, score in found] == pytest.approx(cosines[best], abs=1e-5)
    assert found[0][0].startswith("To reset a password")


def sparse_scores(folder, notes):
    embedder = SparseEmbedder(tiny.write_splade_model(folder))
    return embedder.embed_documents(notes.NOTES).dot(embedder.embed_query(notes.QUESTION))[:, 0]


def multi_vector_scores(folder, notes):
    embedder = MultiVectorEmbedder(multi_vector_models.write_model(folder, normalize=False))
    return embedder.maxsim(notes.QUESTION, notes.NOTES)


@pytest.mark.filterwarnings("ignore::pellucid.TruncationWarning")
@pytest.mark.parametrize(
    ("example", "score"),
    [("qdrant_sparse", sparse_scores), ("qdrant_multi_vector", multi_vector_scores)],
    indirect=["example"],
)
def test_qdrant_scores_other_vectors_as_pellucid_does(example, score, tmp_path):
    module, notes = example
    scores = score(tmp_path / "m", notes)
    best = np.argsort(-scores, kind="stable")[: notes.COUNT]
    found = module.main(str(tmp_path / "m"))
    assert [text for text, _ in found] == [notes.NOTES[number] for number in best]
    assert [score for _, score in found] == pytest.approx(scores[best], rel=1e-6)


def lancedb_registry(module, model, **options):
    return module.get_registry().get("pellucid").create(name=model, **options).compute_query_embeddings


def llamaindex_vectors(module, model, **options):
    embedding = module.PellucidEmbedding(model, embed_batch_size=7, **options)
    assert embedding.embed_batch_size == 7
    return lambda text: [embedding.get_query_embedding(text)]


QUERY_FUNCTIONS = {"lancedb_registry": lancedb_registry, "llamaindex_vectors": llamaindex_vectors}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("example", QUERY_FUNCTIONS, indirect=True)
def test_options_reach_the_embedder_and_unknown_ones_are_refused(example, tiny_bert):
    module, _ = example
    query = QUERY_FUNCTIONS[module.__name__]
    expected = {dtype: Embedder(tiny_bert, dtype=dtype).embed_query("a cat") for dtype in ("float32", "int8")}
    assert not np.array_equal(*expected.values())
    for options, dtype in (({}, "float32"), ({"dtype": "int8"}, "int8")):
        (vector,) = query(module, str(tiny_bert), **options)("a cat")
        np.testing.assert_array_equal(np.asarray(vector, np.float32), expected[dtype])
    with pytest.raises(TypeError, match="dtipe"):
        query(module, str(tiny_bert), dtipe="int8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("example", ["lancedb_registry"], indirect=True)
def test_a_lancedb_table_keeps_the_options_of_its_model(example, tiny_bert, tmp_path):
    module, _ = example
    function = module.get_registry().get("pellucid").create(name=str(tiny_bert), dtype="int8")

    class Note(module.LanceModel):
        text: str = function.SourceField()
        vector: module.Vector(function.ndims()) = function.VectorField()

    module.lancedb.connect(tmp_path).create_table("notes", schema=Note).add([{"text": "a cat"}])
    table = module.lancedb.connect(tmp_path).open_table("notes")
    stored = table.embedding_functions["vector"].function
    assert stored.safe_model_dump() == {"name": str(tiny_bert), "dtype": "int8"}
    expected = Embedder(tiny_bert, dtype="int8").embed_query("a cat")
    np.testing.assert_array_equal(table.search("a cat").to_list()[0]["vector"], expected)
