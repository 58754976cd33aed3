"""Compares vectors of tokens, and MaxSim, with those of sentence-transformers' ``MultiVectorEncoder``."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.util import maxsim

from pellucid import MultiVectorEmbedder, MultiVectors
from tests import multi_vector_models, tiny
from tests.multi_vector_models import FIXED, TEXTS, add_tokens, write_model, write_pylate, write_stanford
from tests.reference.texts import odd_texts

FAMILIES = ["bert", "modernbert", "roberta", "distilbert", "mpnet", "xlm-roberta", "electra", "albert"]
ATTENDED = FIXED | {"attend": True}
AT_LEAST = FIXED | {"strategy": "min"}


def live(folder, **options):
    return MultiVectorEncoder(str(folder), device="cpu", **options)


def assert_same(folder, texts=TEXTS, **options):
    """Queries, documents and scores are those of the live class, on both engines."""
    theirs = live(folder)
    queries = theirs.encode_query(list(texts), batch_size=3, convert_to_numpy=True, **options)
    documents = theirs.encode_document(list(texts), batch_size=3, convert_to_numpy=True, **options)
    scores = maxsim(queries, documents).numpy()
    for engine in ("native", "reference"):
        ours = MultiVectorEmbedder(folder, engine=engine, on_truncation="cut")
        assert ours.dimensions == theirs.get_embedding_dimension()
        for vectors, expected in ((ours.embed_queries(texts, **options), queries), (found := ours.embed_documents(texts, **options), documents)):
            assert [len(each) for each in vectors] == [len(each) for each in expected]
            for each, other in zip(vectors, expected, strict=True):
                np.testing.assert_allclose(each, other.reshape(each.shape), rtol=0, atol=5e-6)
        for query, row in zip(queries, scores, strict=True):
            np.testing.assert_allclose(ours.maxsim(query, found), row, rtol=0, atol=5e-6 * max(1, len(query)))
    return found


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("expansion", [None, FIXED, ATTENDED, AT_LEAST], ids=["none", "fixed", "attended", "min"])
def test_families(tmp_path, family, expansion):
    assert_same(write_model(tmp_path / "m", family, expansion=expansion, document_length=20))


@pytest.mark.parametrize("family", ["bert", "modernbert", "roberta"])
def test_odd_texts(tmp_path, family):
    assert_same(write_model(tmp_path / "m", family, expansion=FIXED), odd_texts(60))
