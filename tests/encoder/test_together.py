from __future__ import annotations

import warnings

import numpy as np
import pytest

from pellucid import (
    Embedder,
    Encoder,
    MultiVectorEmbedder,
    Reranker,
    SparseEmbedder,
    TruncationWarning,
)
from pellucid.errors import InvalidModelError, OptionError, TextTypeError, TruncationError, UnsupportedModelError
from pellucid.layers.finish import Several
from tests import bge_m3, multi_vector_models, tiny
from tests.bge_m3 import TEXTS
from tests.conftest import DATA

FROZEN = np.load(DATA / "tiny_bge_m3.npz")
"""What the formulas give in PyTorch."""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Encoder:
    return Encoder(bge_m3.write_model(tmp_path_factory.mktemp("models") / "m"))


def tasks_of(encoder: Encoder) -> list:
    return [kind(encoder, on_truncation="cut") for kind in (Embedder, SparseEmbedder, MultiVectorEmbedder)]


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_frozen_vectors(encoder, engine):
    other = Encoder(encoder.files.folder, engine=engine)
    dense, sparse, multi = other.together(TEXTS, tasks_of(other))
    np.testing.assert_allclose(dense, FROZEN["dense"], rtol=0, atol=5e-6)
    assert sparse.lengths.tolist() == FROZEN["terms"].tolist()
    np.testing.assert_array_equal(sparse.indices, FROZEN["indices"])
    np.testing.assert_allclose(sparse.values, FROZEN["values"], rtol=0, atol=5e-6)
    assert np.diff(multi.offsets).tolist() == FROZEN["lengths"].tolist()
    np.testing.assert_allclose(multi.vectors, FROZEN["vectors"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], []], ids=["many", "one", "none"])
def test_one_pass_gives_the_bits_of_each_task(encoder, texts):
    dense, sparse, multi = tasks_of(encoder)
    found = encoder.together(texts, [multi, dense, sparse, dense])
    each = multi.embed_documents(texts)
    np.testing.assert_array_equal(found[0].vectors, each.vectors)
    np.testing.assert_array_equal(found[0].offsets, each.offsets)
    for vectors in (found[1], found[3]):
        np.testing.assert_array_equal(vectors, dense.embed_documents(texts))
    weights = sparse.embed_documents(texts)
    for name in ("indices", "values", "offsets"):
        np.testing.assert_array_equal(getattr(found[2], name), getattr(weights, name))


def test_the_encoder_runs_once(encoder, monkeypatch):
    seen = []
    vectors = encoder.engine.token_vectors
    monkeypatch.setattr(encoder.engine, "token_vectors", lambda batch: seen.append(len(batch)) or vectors(batch))
    encoder.together(TEXTS, tasks_of(encoder))
    assert sum(seen) == len(TEXTS)


def test_queries_have_their_own_prompt(tmp_path):
    folder = bge_m3.write_model(tmp_path / "m")
    tiny.edit_json(folder / "config_sentence_transformers.json", prompts={"query": "the dog: "})
    encoder = Encoder(folder)
    dense, sparse, _ = tasks = tasks_of(encoder)
    vectors, weights, _ = encoder.together(["a cat"], tasks, side="query")
    np.testing.assert_array_equal(vectors[0], dense.embed_query("a cat"))
    np.testing.assert_array_equal(weights.values, sparse.embed_query("a cat").values)
    assert not np.array_equal(vectors[0], encoder.together(["a cat"], tasks)[0][0])


def test_the_strictest_task_decides_about_long_texts(encoder):
    warns, fails = Embedder(encoder), SparseEmbedder(encoder, on_truncation="error")
    cuts = MultiVectorEmbedder(encoder, on_truncation="cut")
    with pytest.warns(TruncationWarning):
        encoder.together(["cat " * 90], [cuts, warns])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.together(["cat " * 90], [cuts])
    with pytest.raises(TruncationError):
        encoder.together(["cat " * 90], [cuts, warns, fails])


def test_what_cannot_share_a_pass(encoder, tmp_path):
    dense, sparse, _ = tasks_of(encoder)
    other = Embedder(encoder.files.folder)
    with pytest.raises(OptionError, match="another encoder"):
        encoder.together(["a"], [dense, other])
    with pytest.raises(OptionError, match="at least one task"):
        encoder.together(["a"], [])
    with pytest.raises(OptionError, match="side"):
        encoder.together(["a"], [dense], side="passage")
    with pytest.raises(TextTypeError):
        encoder.together(["a", 1], [dense, sparse])
    reranker = Reranker(tiny.write_scoring_model(tmp_path / "reranker"))
    with pytest.raises(OptionError, match="It got a Reranker"):
        reranker.encoder.together(["a"], [reranker])
    expanded = MultiVectorEmbedder(multi_vector_models.write_model(tmp_path / "m", expansion=multi_vector_models.FIXED))
    with pytest.raises(UnsupportedModelError, match="fills up queries"):
        expanded.encoder.together(["a"], [expanded], side="query")
    apart = SparseEmbedder(tiny.write_inference_free_model(tmp_path / "free"))
    with pytest.raises(UnsupportedModelError, match="a way of their own"):
        apart.encoder.together(["a"], [apart], side="query")


def test_tasks_that_read_different_tokens(tmp_path):
    folder = multi_vector_models.write_model(tmp_path / "m", document_length=20)
    encoder = Encoder(folder)
    multi = MultiVectorEmbedder(encoder)
    short = MultiVectorEmbedder(encoder)
    short._tokenizers["document"].limit(9)
    with pytest.raises(OptionError, match="different tokens"):
        encoder.together(["a"], [multi, short])


def test_a_result_that_is_not_finite_is_named(encoder):
    dense, _, multi = tasks_of(encoder)
    finish = Several((dense.finish(), multi.finish("document")))
    vectors, each = encoder.together(TEXTS, [dense, multi])
    each.vectors[each.offsets[3]] = np.nan
    with pytest.raises(InvalidModelError, match="text 3"):
        finish.check((vectors, each), int)
