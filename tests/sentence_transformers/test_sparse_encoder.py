"""``tests/reference`` compares this class with the live one. These tests need no PyTorch."""

from __future__ import annotations

import numpy as np

from pellucid.sentence_transformers import SparseEncoder
from tests import tiny


def test_a_cache_gives_the_same_vectors(tmp_path, texts_run):
    folder = tiny.write_splade_model(tmp_path / "m")
    plain = SparseEncoder(folder, on_truncation="cut")
    cached = SparseEncoder(folder, on_truncation="cut", cache=tmp_path / "vectors.db")
    expected = plain.encode_document(tiny.TEXTS)
    for _ in range(2):
        found = cached.encode_document(tiny.TEXTS)
        for name in ("indices", "values", "offsets"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    assert texts_run == [len(tiny.TEXTS), len(set(tiny.TEXTS)), 0]
