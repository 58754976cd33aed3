from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder
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
    assert document_shares(embedder.encoder, ("cat", ""), []) == []
