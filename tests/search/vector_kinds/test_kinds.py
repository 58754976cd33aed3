"""What holds for an index of vectors of any kind."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

pytest.importorskip("lancedb")
from pellucid import Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder
from pellucid.errors import IndexStateError, OptionError
from pellucid.search.index import Index
from pellucid.search.vector_kinds import KINDS, KINDS_BY_NAME
from tests import multi_vector_models, tiny

WORDS = ["cat", "dog", "mat", "sat", "the", "on", "zebra", "query"]
TASKS = {"dense": Embedder, "sparse": SparseEmbedder, "multi-vector": MultiVectorEmbedder}
PROMPTS = {"query": "query: ", "document": "document: "}


@pytest.fixture(scope="module", params=TASKS)
def embedder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    if request.param == "dense":
        tiny.write_model(folder, prompts=PROMPTS)
    elif request.param == "sparse":
        tiny.write_splade_model(folder, prompts=PROMPTS)
    else:
        multi_vector_models.write_model(folder, prompts=PROMPTS, normalize=False)
    return TASKS[request.param](folder, on_truncation="error")


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(text_of(number), encoding="utf-8")
    (folder / "rare.md").write_text("# Okapis\n\nthe okapi sat on the mat", encoding="utf-8")
    return folder


def text_of(number):
    drawn = random.Random(number)
    return "\n\n".join(" ".join(drawn.choices(WORDS, k=15)) for _ in range(4))


def score_by_hand(embedder, query, text):
    """The cosine, the dot product or MaxSim, by its formula."""
    first, second = embedder.embed_query(query), embedder.embed_documents([text])
    if isinstance(embedder, SparseEmbedder):
        return float(first.to_dense()[0].astype(np.float64) @ second.to_dense()[0].astype(np.float64))
    if isinstance(embedder, MultiVectorEmbedder):
        return float((first.astype(np.float64) @ second.vectors.astype(np.float64).T).max(axis=1).sum())
    a, b = first.astype(np.float64), second[0].astype(np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def everything(index):
    """What counts in an index: its chunks with their vectors, whatever their order."""
    rows = index.store._chunks().search().limit(None).to_arrow().to_pylist()
    return sorted((row["file"], row["start"], row["end"], row["text"], json.dumps(row["vector"])) for row in rows)


def make(tmp_path, notes, embedder, name="index"):
    index = Index.create(tmp_path / name, embedder)
    return index, index.update([notes])


def test_a_kind_is_found_by_the_name_of_its_task_and_by_its_own():
    assert {name: kind.name for name, kind in KINDS_BY_NAME.items()} == {name: name for name in TASKS}
    assert {kind.name: task for task, kind in KINDS.items()} == {
        name: embedder.task_name for name, embedder in TASKS.items()
    }


def test_a_search_by_vector_is_exact(tmp_path, notes, embedder):
    index, summary = make(tmp_path, notes, embedder)
    scores = {row: score_by_hand(embedder, "the cat sat", row.text) for row in index.store.rows()}
    best = sorted(scores.values(), reverse=True)
    for count in (1, 7, 100):
        hits = index.search("the cat sat", count, mode="vector")
        assert [hit.score for hit in hits] == pytest.approx(best[:count], abs=1e-5)
        assert [hit.vector_rank for hit in hits] == list(range(1, len(hits) + 1))
        for hit in hits:
            assert hit.vector_score == pytest.approx(scores[hit.row], abs=1e-5)
    assert len(hits) == summary.chunks > 10


def test_a_hit_by_words_has_the_score_of_its_vectors_too(tmp_path, notes, embedder):
    index, _ = make(tmp_path, notes, embedder)
    hit = index.search("okapi", mode="text")[0]
    assert (hit.row.heading, hit.text_rank, hit.vector_rank) == ("Okapis", 1, None)
    assert hit.vector_score == pytest.approx(score_by_hand(embedder, "okapi", hit.row.text), abs=1e-5)


def test_both_rankings_are_fused(tmp_path, notes, embedder):
    index, _ = make(tmp_path, notes, embedder)
    rankings = [[hit.row for hit in index.search("okapi cat", 100, mode=mode)] for mode in ("vector", "text")]
    hits = index.search("okapi cat", 100)
    assert {hit.row for hit in hits} == {*rankings[0], *rankings[1]}
    for hit in hits:
        places = [ranking.index(hit.row) + 1 if hit.row in ranking else None for ranking in rankings]
        assert [hit.vector_rank, hit.text_rank] == places
        assert hit.score == pytest.approx(sum(1 / (60 + place) for place in places if place is not None))


def test_what_changes_is_embedded_and_nothing_else(tmp_path, notes, embedder):
    index, first = make(tmp_path, notes, embedder)
    assert index.update([notes]).embedded == 0
    (notes / "0.txt").write_text(text_of(0) + "\n\nand a dog", encoding="utf-8")
    (notes / "1.txt").unlink()
    (notes / "2.txt").rename(notes / "moved.txt")
    second = index.update([notes])
    assert (second.added, second.removed) == (2, 2)
    assert 0 < second.embedded < first.embedded
    assert everything(index) == everything(make(tmp_path, notes, embedder, "other")[0])


def test_an_update_that_was_stopped_goes_on_where_it_was(tmp_path, notes, embedder, monkeypatch):
    for number in range(100):
        (notes / f"new{number}.txt").write_text(text_of(number + 50), encoding="utf-8")

    def stop(progress):
        if progress.kept:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Index.create(tmp_path / "index", embedder).update([notes], on_progress=stop)
    index = Index.create(tmp_path / "index", embedder)
    kept = index.store.staged().keys()
    assert len(kept) > 10
    embedded = []
    kind = type(index.kind)
    embed = kind.embed
    monkeypatch.setattr(kind, "embed", lambda self, texts, prompt: embedded.extend(texts) or embed(self, texts, prompt))
    assert index.update([notes]).embedded == len(embedded)
    digests = {row.text: row.digest for row in index.store.rows()}
    assert {digests[text] for text in embedded} == {*digests.values()} - kept
    assert everything(index) == everything(make(tmp_path, notes, embedder, "other")[0])


def test_the_index_loads_its_own_model(tmp_path, notes, embedder):
    make(tmp_path, notes, embedder)
    index = Index.open(tmp_path / "index")
    assert type(index.embedder) is type(embedder)
    assert index.search("cat", 3) == Index.open(tmp_path / "index", embedder).search("cat", 3)


def test_another_model_is_refused(tmp_path, notes, embedder):
    make(tmp_path, notes, embedder)
    before = sorted(path.name for path in (tmp_path / "index").iterdir())
    for name, other in {
        "dense": Embedder(tiny.write_model(tmp_path / "a", seed=1)),
        "sparse": SparseEmbedder(tiny.write_splade_model(tmp_path / "b", seed=1)),
        "multi-vector": MultiVectorEmbedder(multi_vector_models.write_model(tmp_path / "c", seed=1)),
    }.items():
        mine = KINDS[embedder.task_name].name
        message = "the model .*" if name == mine else f"task '{mine}', not with '{name}'.*"
        for open_index in (Index.create, Index.open):
            with pytest.raises(IndexStateError, match=f"was made with {message}--rebuild"):
                open_index(tmp_path / "index", other)
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before


def test_it_can_be_made_again_with_vectors_of_another_kind(tmp_path, notes, embedder):
    make(tmp_path, notes, embedder)
    other = SparseEmbedder(tiny.write_splade_model(tmp_path / "other", seed=1))
    again = Index.create(tmp_path / "index", other, rebuild=True)
    assert again.update([notes]).files == 6
    assert Index.open(tmp_path / "index").search("cat", 1)[0].measure == "dot"


def test_hits_can_be_reranked(tmp_path, notes, embedder):
    index, _ = make(tmp_path, notes, embedder)
    reranker = Reranker(tiny.write_scoring_model(tmp_path / "reranker"), on_truncation="cut")
    candidates = index.search("cat mat", 50)
    scores = reranker.score("cat mat", [hit.row.text for hit in candidates])
    best = np.argsort(-scores, kind="stable")[:3]
    assert [hit.row for hit in index.search("cat mat", 3, reranker=reranker)] == [candidates[n].row for n in best]


def test_any_texts_are_compared_with_a_query(tmp_path, notes, embedder):
    index, _ = make(tmp_path, notes, embedder)
    expected = [score_by_hand(embedder, "a cat", text) for text in ("the cat sat", "zebra")]
    assert index.similarities("a cat", ["the cat sat", "zebra"]).tolist() == pytest.approx(expected, abs=1e-5)
    assert index.similarities("a cat", []).shape == (0,)


def test_only_an_index_of_dense_vectors_is_searched_approximately(tmp_path, notes, embedder):
    index, _ = make(tmp_path, notes, embedder)
    if isinstance(embedder, Embedder):
        assert index.search("cat", 3, approximate=True)
        return
    with pytest.raises(OptionError, match="cannot be searched approximately: each search reads all of its vectors"):
        index.search("cat", 3, approximate=True)


def test_files_are_forgotten(tmp_path, notes, embedder):
    index, _ = make(tmp_path, notes, embedder)
    assert index.forget([notes / "rare.md"]).removed == 1
    assert "notes/rare.md" not in {hit.row.file for hit in index.search("okapi", 100)}


def test_a_model_that_gives_no_vectors_is_refused(tmp_path):
    with pytest.raises(OptionError, match="with a value of type Reranker. Give it an Embedder, a SparseEmbedder or"):
        Index.create(tmp_path / "index", Reranker(tiny.write_scoring_model(tmp_path / "m")))
    assert not (tmp_path / "index").exists()
