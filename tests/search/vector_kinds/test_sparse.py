from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lancedb")
from pellucid import SparseEmbedder, SparseVectors
from pellucid.errors import IndexStateError
from pellucid.search.index import Index
from pellucid.search.vector_kinds.sparse import SparseQuestion
from pellucid.tables.vector_columns import sparse_column
from tests import tiny


def test_scores_are_the_dot_products_to_the_last_bit():
    drawn = np.random.default_rng(0)
    dense = np.where(drawn.random((50, 40)) < 0.2, drawn.random((50, 40)), 0).astype(np.float32)
    dense[[0, 7, 49]] = 0
    documents = SparseVectors.from_dense(dense)
    query = SparseVectors.from_dense(dense[3:4])
    scores = SparseQuestion(query).scores(sparse_column(documents))
    assert scores.tolist() == documents.dot(query)[:, 0].tolist()
    assert scores.tolist() == pytest.approx((dense.astype(np.float64) @ dense[3]).tolist(), abs=1e-6)
    assert (SparseQuestion(SparseVectors.from_dense(dense[:1])).scores(sparse_column(documents)) == 0).all()


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    for name in ("cat", "dog", "zebra"):
        (folder / f"{name}.txt").write_text(f"the {name}")
    return folder


def test_chunks_that_share_no_term_with_the_query_are_not_ranked(tmp_path, notes, monkeypatch):
    index = Index.create(tmp_path / "index", SparseEmbedder(tiny.write_splade_model(tmp_path / "m")))
    index.update([notes])
    texts = ["the cat", "the dog", "the zebra"]
    vector = index.embedder.embed_documents(["the dog"])
    dimension = int(np.setdiff1d(np.arange(vector.dimensions), vector.indices)[0])
    alone = SparseVectors(np.array([dimension], np.int32), np.ones(1, np.float32), np.array([0, 1], np.int32), 99)
    monkeypatch.setattr(SparseEmbedder, "embed_query", lambda _self, _text: alone)
    sharing = {text for text in texts if dimension in index.embedder.embed_documents([text]).indices}
    assert {hit.row.text for hit in index.search("anything", mode="vector")} == sharing


def test_a_query_without_terms_finds_by_words_alone(tmp_path, notes, monkeypatch):
    index = Index.create(tmp_path / "index", SparseEmbedder(tiny.write_splade_model(tmp_path / "m")))
    index.update([notes])
    empty = index.embedder.embed_documents([])
    none = SparseVectors(empty.indices, empty.values, np.zeros(2, np.int32), empty.dimensions)
    monkeypatch.setattr(SparseEmbedder, "embed_query", lambda _self, _text: none)
    assert index.search("zebra", mode="vector") == []
    (hit,) = index.search("zebra")
    assert (hit.row.text, hit.vector_rank, hit.text_rank, hit.vector_score) == ("the zebra", None, 1, 0.0)


def test_a_model_that_reads_queries_apart_reads_them_so(tmp_path, notes):
    embedder = SparseEmbedder(tiny.write_inference_free_model(tmp_path / "m"))
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    query = embedder.embed_query("cat dog")
    for hit in index.search("cat dog", mode="vector"):
        assert hit.score == embedder.embed_documents([hit.row.text]).dot(query)[0, 0]


def test_the_number_of_terms_is_kept(tmp_path, notes):
    folder = tiny.write_splade_model(tmp_path / "m")
    Index.create(tmp_path / "index", SparseEmbedder(folder, max_active_dims=2)).update([notes])
    index = Index.open(tmp_path / "index")
    assert index.embedder.max_active_dims == 2
    for record in index.store._chunks().search().limit(None).to_list():
        assert len(record["vector"]["indices"]) <= 2
    with pytest.raises(IndexStateError, match=r"was made with options \{'max_active_dims': 2\}"):
        Index.open(tmp_path / "index", SparseEmbedder(folder))
