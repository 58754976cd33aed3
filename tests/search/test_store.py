from __future__ import annotations

import shutil

import numpy as np
import pytest

from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import IndexStateError
from pellucid.search import lance
from pellucid.search.rows import Row
from pellucid.search.store import Identity, Store
from pellucid.search.vector_kinds.dense import DenseQuestion
from pellucid.tables.vector_columns import dense_column

pytest.importorskip("lancedb")
IDENTITY = Identity("model", Fingerprint("digest", "native", "float32", "cpu", ""), 8, "text")
ROWS = 4 * lance._ROWS_PER_PARTITION


def row(number):
    return Row(f"{number % 50}.txt", "", 1, 1, "", 0, 1, 1, 1, f"word{number}", str(number))


def unit_vectors(count, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An index of so many chunks that their vectors are partitioned, and these vectors."""
    store = Store(tmp_path_factory.mktemp("index"), IDENTITY, None)
    vectors = unit_vectors(ROWS, 0)
    store.stage([row(number) for number in range(ROWS)], dense_column(vectors))
    store.commit([])
    return store.folder, vectors


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "index")
    return Store.open(tmp_path / "index")


def nearest_by_hand(vectors, query, count):
    """The numbers of the rows with the largest cosines, and these."""
    cosines = vectors.astype(np.float64) @ query.astype(np.float64)
    order = np.argsort(-cosines)[:count]
    return [str(number) for number in order], cosines[order]


def partitions(store):
    return store._chunks().index_stats("vector_idx")


def test_a_search_through_all_partitions_is_exact(store, made):
    assert partitions(store).num_indexed_rows == ROWS
    for query in unit_vectors(20, 1):
        found = store.rank(DenseQuestion(query), 10)
        digests, cosines = nearest_by_hand(made[1], query, 10)
        assert [ranked.row.digest for ranked in found] == digests
        assert [ranked.score for ranked in found] == pytest.approx(cosines, abs=1e-6)


def test_it_stays_exact_when_rows_come_and_go(store, made):
    added = unit_vectors(60, 2)
    store.stage([row(ROWS + number) for number in range(60)], dense_column(added))
    store.commit([f"{number}.txt" for number in range(25)])
    kept = [number for number in range(ROWS) if number % 50 >= 25] + [ROWS + number for number in range(60)]
    vectors = np.concatenate([made[1], added])[kept]
    assert partitions(store).num_unindexed_rows == 0
    for query in (*unit_vectors(5, 3), *added[:5]):
        digests, _ = nearest_by_hand(vectors, query, 10)
        assert [found.row.digest for found in store.rank(DenseQuestion(query), 10)] == [
            str(kept[int(digest)]) for digest in digests
        ]


def test_an_approximate_search_looks_at_some_partitions(store, made, monkeypatch):
    count = ROWS // 4

    def missed(query):
        exact, _ = nearest_by_hand(made[1], query, count)
        return len({*exact} - {found.row.digest for found in store.rank(DenseQuestion(query), count, approximate=True)})

    queries = unit_vectors(5, 4)
    assert [missed(query) for query in queries] == [0] * 5  # There are fewer than 64 partitions.
    monkeypatch.setattr(lance, "_MIN_PROBES", 1)
    assert all(0 < missed(query) < count for query in queries)


def test_small_indices_are_not_partitioned(tmp_path):
    store = Store(tmp_path, IDENTITY, None)
    store.stage([row(0), row(1)], dense_column(unit_vectors(2, 0)))
    store.commit([])
    assert [index.columns for index in store._chunks().list_indices()] == [["text"]]
    assert len(store.rank(DenseQuestion(unit_vectors(1, 5)[0]), 10, approximate=True)) == 2


def test_words_of_new_rows_are_found(store):
    store.stage([row(ROWS + 1)], dense_column(unit_vectors(1, 6)))
    store.commit([])
    assert [found.row.digest for found in store.rank_by_words(f"word{ROWS + 1}", 10)] == [str(ROWS + 1)]


def test_a_reader_keeps_what_it_opened_until_that_is_made_again(store):
    reader = Store.open(store.folder)
    store.commit([f"{number}.txt" for number in range(25)])
    assert (reader.count(), store.count()) == (ROWS, sum(number % 50 >= 25 for number in range(ROWS)))
    again = Store(store.folder, IDENTITY, None)
    again.stage([row(0)], dense_column(unit_vectors(1, 0)))
    again.commit([])
    with pytest.raises(IndexStateError, match="rebuilt since it was opened"):
        reader.count()
    assert Store.open(store.folder).count() == 1
