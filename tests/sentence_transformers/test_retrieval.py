"""``tests/reference/test_util.py`` compares these functions with those of sentence-transformers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import InputError, OptionError
from pellucid.sentence_transformers import retrieval
from pellucid.sentence_transformers.util import (
    community_detection,
    cos_sim,
    dot_score,
    paraphrase_mining,
    paraphrase_mining_embeddings,
    semantic_search,
)

VECTORS = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 1], [-1, 0]], dtype=np.float32)
FEW = st.integers(-2, 2).map(float)
"""So few values that many scores are equal."""


@pytest.fixture(params=["whole", "in blocks"])
def _blocks(request, monkeypatch):
    if request.param == "in blocks":
        monkeypatch.setattr(retrieval, "COSINE_ROWS", 2)
        monkeypatch.setattr(retrieval, "MAX_NUMBERS", 6)


@pytest.mark.usefixtures("_blocks")
def test_a_search_finds_the_best_first():
    found = semantic_search(VECTORS[:3], VECTORS, top_k=2)
    assert [[each["corpus_id"] for each in row] for row in found] == [[0, 1], [1, 0], [2, 3]]
    assert found[0][1]["score"] == pytest.approx(0.9 / np.hypot(0.9, 0.1))
    assert semantic_search(VECTORS[0], VECTORS, top_k=99)[0][-1] == {"corpus_id": 4, "score": -1}
    assert semantic_search(VECTORS, np.empty((0, 2), dtype=np.float32)) == [[], [], [], [], []]


@given(st.data())
def test_a_search_is_a_full_sort(data):
    queries, corpus = (data.draw(arrays(np.float32, (data.draw(st.integers(1, 9)), 3), elements=FEW)) for _ in "qc")
    k = data.draw(st.integers(1, 12))
    for row, query in zip(semantic_search(queries, corpus, top_k=k, score_function=dot_score), queries, strict=True):
        scores = corpus @ query
        order = np.argsort(-scores, kind="stable")[:k]
        assert [(each["corpus_id"], each["score"]) for each in row] == list(
            zip(order.tolist(), scores[order].tolist(), strict=True)
        )


def test_a_function_of_the_callers():
    found = semantic_search(VECTORS[:1], VECTORS, top_k=1, score_function=lambda a, b: -(a @ b.T))
    assert found == [[{"corpus_id": 4, "score": 1.0}]]


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("top_k", [1, 2, 99])
def test_mining_gives_the_pairs_of_neighbours(top_k):
    scores = cos_sim(VECTORS, VECTORS)
    neighbours = [[j for j in np.argsort(-row, kind="stable") if j != i][:top_k] for i, row in enumerate(scores)]
    expected = {(min(i, j), max(i, j)) for i, row in enumerate(neighbours) for j in row}
    found = paraphrase_mining_embeddings(VECTORS, top_k=top_k)
    assert {(i, j) for _, i, j in found} == expected
    assert [score for score, _, _ in found] == sorted((score for score, _, _ in found), reverse=True)
    assert all(score == pytest.approx(scores[i, j], abs=1e-6) for score, i, j in found)


@pytest.mark.usefixtures("_blocks")
def test_mining_keeps_the_best_pairs():
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    scores = cos_sim(vectors, vectors)
    best = sorted((scores[i, j] for i, j in itertools.combinations(range(60), 2)), reverse=True)
    for count in (1, 7, 300):
        found = paraphrase_mining_embeddings(vectors, max_pairs=count, top_k=60)
        assert [score for score, _, _ in found] == pytest.approx(best[:count], abs=1e-6)
    assert paraphrase_mining_embeddings(vectors[:1]) == []
    assert paraphrase_mining_embeddings([]) == []


def test_equal_vectors_are_all_found():
    """More vectors are equal than a vector has neighbours, so it may not be among its own."""
    found = paraphrase_mining_embeddings(np.ones((9, 2), dtype=np.float32), top_k=2)
    assert {i for _, *pair in found for i in pair} == set(range(9))
    assert len({(i, j) for _, i, j in found}) == len(found)


def test_of_equal_pairs_the_first_are_kept():
    found = paraphrase_mining_embeddings(np.ones((40, 3), dtype=np.float32), max_pairs=3)
    assert [pair for _, *pair in found] == [[0, 1], [0, 2], [0, 3]]


def test_a_whole_ranking_is_found_in_one_go():
    vectors = np.random.default_rng(0).normal(size=(20_000, 2)).astype(np.float32)
    found = semantic_search(vectors[:3], vectors, top_k=20_000)
    assert [len({each["corpus_id"] for each in row}) for row in found] == [20_000] * 3
    assert all(row == sorted(row, key=lambda each: -each["score"]) for row in found)


def test_mining_passes_options_to_the_model():
    class Model:
        def encode(self, sentences, **options):
            self.seen = sentences, options
            return VECTORS

    model = Model()
    assert len(paraphrase_mining(model, ["a"] * 5, max_pairs=2, prompt="p", truncate_dim=3)) == 2
    assert model.seen[0] == ["a"] * 5
    assert (model.seen[1]["prompt"], model.seen[1]["truncate_dim"]) == ("p", 3)


@pytest.mark.usefixtures("_blocks")
def test_groups_have_a_centre_and_no_common_members():
    assert community_detection(VECTORS, threshold=0.9, min_community_size=2) == [[0, 1], [2, 3]]
    assert community_detection(VECTORS, threshold=0.9, min_community_size=1) == [[0, 1], [2, 3], [4]]
    assert community_detection(VECTORS) == community_detection([]) == []


def test_the_largest_group_takes_its_members_first():
    line = np.array([[np.cos(a), np.sin(a)] for a in np.arange(7) * 0.3], dtype=np.float32)
    # Each has two neighbours on either side. Those in the middle have four, and the first of them comes first.
    assert community_detection(line, threshold=np.cos(0.7), min_community_size=2) == [[2, 1, 3, 0, 4], [5, 6]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: semantic_search(VECTORS, VECTORS, top_k=0), OptionError, "top_k=0"),
        (lambda: semantic_search(VECTORS, VECTORS, query_chunk_size=0), OptionError, "query_chunk_size=0"),
        (lambda: semantic_search(VECTORS, VECTORS, score_function="cos"), OptionError, "must be a function"),
        (lambda: semantic_search(VECTORS, VECTORS * np.nan), InputError, "a score is NaN"),
        (lambda: semantic_search(["text"], VECTORS), InputError, "query_embeddings has values of type"),
        (lambda: semantic_search(VECTORS, VECTORS[:, :1]), InputError, "have 2 numbers each"),
        (lambda: paraphrase_mining_embeddings(np.ones((2, 2, 2))), InputError, "they must be vectors"),
        (lambda: community_detection(VECTORS * np.nan, min_community_size=1), InputError, "not finite"),
        (lambda: paraphrase_mining_embeddings(VECTORS, max_pairs=0), OptionError, "max_pairs=0"),
        (lambda: community_detection(VECTORS, min_community_size=0), OptionError, "min_community_size=0"),
    ],
)
def test_what_cannot_be_searched_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
