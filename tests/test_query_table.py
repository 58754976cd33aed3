from __future__ import annotations

import numpy as np
import pytest

from pellucid import SparseEmbedder
from pellucid.errors import TextTypeError
from tests import tiny


@pytest.fixture(scope="module")
def inference_free(tmp_path_factory) -> SparseEmbedder:
    return SparseEmbedder(tiny.write_inference_free_model(tmp_path_factory.mktemp("inference-free") / "m"))


def test_a_table_reads_many_queries_as_it_reads_each(inference_free):
    task = SparseEmbedder(inference_free.encoder, on_truncation="cut")
    table, texts = task.for_queries, ["the cat", "", "a dog, the dog", "cat " * 600]
    tokens, counts = table.tokenize(texts, "the ")
    assert counts.tolist() == [3, 1, 6, 601]
    assert tokens.lengths.tolist() == [3, 1, 6, table.max_tokens]
    for dims in (None, 1):
        found = table.embed_tokens(tokens, dims)
        for vector, text in zip(found, texts, strict=True):
            alone = task.embed_query(text, prompt="the ", max_active_dims=dims)
            np.testing.assert_array_equal(vector.to_dense(), alone.to_dense())
    with pytest.raises(TextTypeError, match="text 5"):
        table.tokenize(["a", 3], first=4)


def test_a_table_says_how_large_it_is(inference_free):
    assert repr(inference_free.for_queries) == "QueryTable(vocabulary of 71, at most 512 tokens)"
