from __future__ import annotations

import numpy as np
import pytest

from tests.integrations import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_chroma(folder, embedder, tmp_path):
    import chromadb

    from pellucid.integrations.chroma import PellucidEmbeddingFunction

    client = chromadb.PersistentClient(str(tmp_path))
    created = client.create_collection("texts", embedding_function=PellucidEmbeddingFunction(folder, threads=1))
    created.add(ids=["0", "1", "2"], documents=TEXTS)
    opened = client.get_collection("texts")  # It makes the function again.
    found = opened.query(query_texts=["a dog"], n_results=3)
    best = embedder.most_similar("a dog", TEXTS)
    assert found["ids"] == [[str(each.index) for each in best]]
    np.testing.assert_allclose(found["distances"], [[1 - each.score for each in best]], atol=1e-6)
