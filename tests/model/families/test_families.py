"""Every family against the results of sentence-transformers for its tiny model; see tests/data/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pellucid import Embedder
from tests import tiny

FROZEN = Path(__file__).parents[2] / "data" / "tiny.npz"


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("models") / family, family)


@pytest.fixture(scope="module")
def frozen(family):
    with np.load(FROZEN) as stored:
        return {key: stored[f"{family}/{key}"] for key in ("lengths", "ids", "vectors")}


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_vectors_are_those_of_sentence_transformers(folder, frozen, engine):
    vectors = Embedder(folder, engine=engine, on_truncation="ignore").embed_documents(tiny.TEXTS)
    np.testing.assert_allclose(vectors, frozen["vectors"], rtol=0, atol=5e-6)


def test_tokens_are_those_of_sentence_transformers(folder, frozen):
    batch, _ = Embedder(folder).tokenizer.tokenize(tiny.TEXTS)
    assert batch.lengths.tolist() == frozen["lengths"].tolist()
    assert batch.ids.tolist() == frozen["ids"].tolist()


@pytest.mark.parametrize(("dtype", "min_cosine"), [("int16", 0.9999), ("int8", 0.99), ("int4", 0.95)])
def test_quantized_vectors_stay_close(folder, frozen, dtype, min_cosine):
    vectors = Embedder(folder, dtype=dtype, on_truncation="ignore").embed_documents(tiny.TEXTS)
    assert (vectors * frozen["vectors"]).sum(axis=1).min() > min_cosine
