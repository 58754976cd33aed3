"""Compares searches of an index with brute force over the vectors of sentence-transformers."""

from __future__ import annotations

import pytest
from benchmarks.texts import known_items

pytest.importorskip("lancedb")


@pytest.fixture(scope="module")
def items():
    return known_items()[:300]


@pytest.fixture(scope="module")
def index(tmp_path_factory, minilm, items):
    from pellucid.search.index import Index

    folder = tmp_path_factory.mktemp("search")
    (folder / "documents").mkdir()
    for number, (_, document) in enumerate(items):
        (folder / "documents" / f"{number}.txt").write_text(document, encoding="utf-8")
    index = Index.create(folder / "index", minilm)
    index.update([folder / "documents"])
    return index


def test_a_vector_search_finds_what_brute_force_finds(index, reference_minilm, items):
    rows = index.store.rows()
    chunks = reference_minilm.encode_document([row.text for row in rows], normalize_embeddings=True)
    numbers = {(row.file, row.start): number for number, row in enumerate(rows)}
    for query, _ in items[:60]:
        cosines = chunks @ reference_minilm.encode_query(query, normalize_embeddings=True)
        hits = index.search(query, 10, mode="vector")
        found = [cosines[numbers[hit.row.file, hit.row.start]] for hit in hits]
        # The scores are compared, not the rows: of two rows with the same text, either may come first.
        assert found == pytest.approx(sorted(cosines, reverse=True)[:10], abs=2e-6)
        assert [hit.score for hit in hits] == pytest.approx(found, abs=2e-6)
