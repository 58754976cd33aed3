from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.encoder.encoder import Encoder
from pellucid.explain.document_shares import document_shares, why_no_word_shares
from pellucid.explain.words import word_shares
from tests import tiny


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_they_are_those_of_a_comparison_with_each_document(family, tmp_path, engine):
    prompts = {"query": "query: ", "document": "passage: "}
    embedder = Embedder(tiny.write_model(tmp_path / family, family, prompts=prompts), engine=engine)
    query, documents = "The cat, sat", ["a dog on the mat", "", "cat cat zebra"]
    found = document_shares(
        embedder.encoder,
        (query, embedder.query_prompt),
        [(document, embedder.document_prompt) for document in documents],
    )
    assert why_no_word_shares(embedder.encoder) is None
    for shares, document in zip(found, documents, strict=True):
        expected = word_shares(embedder.compare(query, document))
        assert (shares.first, shares.second) == (expected.first, expected.second)
        np.testing.assert_allclose(shares.shares, expected.shares, atol=1e-5)
        assert shares.frame == pytest.approx(expected.frame, abs=1e-5)


def test_no_documents_are_no_work(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m"))
    assert list(document_shares(embedder.encoder, ("cat", ""), [])) == []


def test_the_vectors_of_a_few_documents_are_in_memory_at_a_time(tmp_path, monkeypatch):
    encoder = Embedder(tiny.write_model(tmp_path / "m")).encoder
    counts = []
    run = Encoder.run

    def counting_run(self, batch, *arguments, **options):
        counts.append(len(batch))
        return run(self, batch, *arguments, **options)

    monkeypatch.setattr(Encoder, "run", counting_run)
    found = document_shares(encoder, ("cat", ""), [("a dog on the mat", "")] * 100)
    next(found)
    assert sum(counts) < 50
    assert len(list(found)) == 99
    assert sum(counts) == 101
    assert max(counts) < 50
