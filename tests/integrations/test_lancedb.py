from __future__ import annotations

import pytest

from tests.integrations import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_lancedb(folder, embedder, tmp_path):
    import lancedb
    from lancedb.embeddings import get_registry
    from lancedb.pydantic import LanceModel, Vector

    import pellucid.integrations.lancedb  # noqa: F401  It registers the function.

    function = get_registry().get("pellucid").create(name=folder, threads=1)

    class Row(LanceModel):
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()

    table = lancedb.connect(tmp_path).create_table("texts", schema=Row)
    table.add([{"text": text} for text in TEXTS])
    table = lancedb.connect(tmp_path).open_table("texts")  # It makes the function again.
    found = table.search("a dog").metric("cosine").limit(3).to_list()
    best = embedder.most_similar("a dog", TEXTS)
    assert [row["text"] for row in found] == [TEXTS[each.index] for each in best]
