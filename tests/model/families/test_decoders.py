"""Tiny decoders against the results of sentence-transformers; see tests/data/README.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid import Embedder
from tests.tiny_decoders import DECODERS, TEXTS, write_decoder

FROZEN = Path(__file__).parents[2] / "data" / "decoders.npz"
ENGINES = ("reference", "native")


@pytest.fixture(scope="module", params=DECODERS)
def name(request):
    """Each decoder in turn."""
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return write_decoder(tmp_path_factory.mktemp("decoder") / "m", name)


@pytest.fixture(scope="module")
def frozen(name):
    with np.load(FROZEN) as stored:
        return {key: stored[f"{name}/{key}"] for key in ("lengths", "ids", "vectors", "queries")}


@pytest.mark.parametrize("engine", ENGINES)
def test_vectors_are_those_of_sentence_transformers(folder, frozen, engine):
    embedder = Embedder(folder, engine=engine, on_truncation="cut")
    np.testing.assert_allclose(embedder.embed_documents(TEXTS), frozen["vectors"], rtol=0, atol=5e-6)
    queries = [embedder.embed_query(text) for text in TEXTS]
    np.testing.assert_allclose(queries, frozen["queries"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_text_has_the_same_bits_in_any_company(folder, engine):
    embedder = Embedder(folder, engine=engine, on_truncation="cut")
    together = embedder.embed_documents(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(embedder.embed_documents([text])[0], vector)


def test_tokens_are_those_of_sentence_transformers(folder, frozen):
    batch, _ = Embedder(folder, engine="reference").tokenizer.tokenize(TEXTS)
    assert batch.lengths.tolist() == frozen["lengths"].tolist()
    assert batch.ids.tolist() == frozen["ids"].tolist()


@pytest.mark.parametrize("prefix", ["", "model.", "language_model.", "language_model.model.", "model.language_model."])
def test_names_may_have_the_prefix_of_the_class_that_saved_them(tmp_path, prefix):
    folder = write_decoder(tmp_path / "m", "qwen3")
    expected = Embedder(folder, engine="reference").embed_query("the cat")
    stored = load_file(folder / "model.safetensors")
    others = {"lm_head.weight": np.zeros((2, 2), np.float32), "vision_tower.weight": np.zeros(3, np.float32)}
    save_file({prefix + key: array for key, array in stored.items()} | others, folder / "model.safetensors")
    np.testing.assert_array_equal(Embedder(folder, engine="reference").embed_query("the cat"), expected)
