from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lancedb")
from pellucid import MultiVectorEmbedder
from pellucid.search.index import Index
from pellucid.vectors.maxsim import EMPTY_DOCUMENT
from tests import multi_vector_models

TEXTS = {
    "cat.txt": "the cat sat on the mat",
    "dog.txt": "The dog sat.",
    "marks.txt": ". , !",
    "zebra.txt": "a zebra, a cat and a dog",
}


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


# Words that the model skips. With "[CLS]" and "[SEP]", a text of nothing but marks has no vectors.
ALL_MARKS = (".", ",", "!", "[CLS]", "[SEP]")


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_scores_are_those_of_maxsim_to_the_last_bit(tmp_path, notes, normalize, engine):
    folder = multi_vector_models.write_model(
        tmp_path / "m", normalize=normalize, skipped=ALL_MARKS, expansion=multi_vector_models.FIXED
    )
    embedder = MultiVectorEmbedder(folder, engine=engine)
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    hits = index.search("the cat and the dog", mode="vector")
    scores = embedder.maxsim("the cat and the dog", [hit.row.text for hit in hits]).tolist()
    assert [hit.score for hit in hits] == [hit.vector_score for hit in hits] == scores
    assert scores == sorted(scores, reverse=True)
    assert {hit.row.text for hit in hits} == {*TEXTS.values()} - {TEXTS["marks.txt"]}


def test_a_chunk_without_vectors_is_found_by_words_alone(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("dog")
    (tmp_path / "notes" / "b.txt").write_text("the cat")
    folder = multi_vector_models.write_model(tmp_path / "m", skipped=("dog", "[CLS]", "[SEP]"))
    embedder = MultiVectorEmbedder(folder)
    assert embedder.embed_documents(["dog", "the cat"]).offsets.tolist()[:2] == [0, 0]
    index = Index.create(tmp_path / "index", embedder)
    index.update([tmp_path / "notes"])
    assert [hit.row.text for hit in index.search("dog", mode="vector")] == ["the cat"]
    found = {hit.row.text: hit for hit in index.search("dog")}
    assert (found["dog"].vector_rank, found["dog"].text_rank) == (None, 1)
    assert found["dog"].vector_score == EMPTY_DOCUMENT
    assert Index.create(tmp_path / "index", embedder).update([tmp_path / "notes"]).embedded == 0


def test_an_index_of_nothing_but_such_chunks_is_one_too(tmp_path):
    (tmp_path / "a.txt").write_text("dog")
    folder = multi_vector_models.write_model(tmp_path / "m", skipped=("dog", "[CLS]", "[SEP]"))
    index = Index.create(tmp_path / "index", MultiVectorEmbedder(folder))
    assert index.update([tmp_path / "a.txt"]).chunks == 1
    assert index.search("dog", mode="vector") == []
    assert [hit.row.text for hit in index.search("dog")] == ["dog"]


def test_a_query_without_vectors_finds_by_words_alone(tmp_path, notes, monkeypatch):
    index = Index.create(tmp_path / "index", MultiVectorEmbedder(multi_vector_models.write_model(tmp_path / "m")))
    index.update([notes])
    none = np.zeros((0, multi_vector_models.WIDTH), np.float32)
    monkeypatch.setattr(MultiVectorEmbedder, "embed_query", lambda _self, _text: none)
    assert index.search("zebra", mode="vector") == []
    assert [hit.row.text for hit in index.search("zebra")] == [TEXTS["zebra.txt"]]


def test_a_long_text_is_cut_into_chunks_that_the_model_reads_whole(tmp_path):
    folder = multi_vector_models.write_model(tmp_path / "m", document_length=16)
    (tmp_path / "long.txt").write_text("The cat sat on the mat. " * 40)
    embedder = MultiVectorEmbedder(folder, on_truncation="error")
    index = Index.create(tmp_path / "index", embedder)
    assert index.update([tmp_path / "long.txt"]).chunks > 20
    counts = embedder.count_tokens([row.text for row in index.store.rows()])
    assert counts.max() <= 16
