"""Compares sparse vectors with those of sentence-transformers' ``SparseEncoder``, for random models that it saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder

from pellucid import SparseEmbedder, SparseVectors
from pellucid import sentence_transformers as ours
from tests import tiny, tiny_families
from tests.real_splade import splade_folder
from tests.reference.texts import docstrings, odd_texts

FAMILIES = [family for family in tiny_families.FAMILIES if family != "nomic_bert"]


def masked_language_model(folder, family, **settings):
    """Write a model with a head for masked words, as transformers saves it, with random weights."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    tiny.write_model(folder, family)
    torch.manual_seed(0)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    config = tiny_families.config(family, vocabulary) | settings
    model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    for name, parameter in model.named_parameters():
        mean = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
        torch.nn.init.normal_(parameter.data, mean, 0.3)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    model.save_pretrained(folder)
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=tiny_families.MAX_TOKENS)
    return folder


def splade(folder, source, **options):
    """Save a SPLADE model with sentence-transformers."""
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    transformer = Transformer(str(source), transformer_task="fill-mask")
    SparseEncoder(modules=[transformer, SpladePooling(**options)], device="cpu").save(str(folder))
    return folder


def assert_same(folder, texts=tiny.TEXTS, **options):
    mine, theirs = SparseEmbedder(folder, on_truncation="cut"), SparseEncoder(str(folder), device="cpu")
    vectors = mine.embed_documents(texts, **options)
    expected = theirs.encode(list(texts), batch_size=1, convert_to_sparse_tensor=False, **options).numpy()
    assert mine.max_tokens == theirs.max_seq_length
    assert mine.dimensions == theirs.get_embedding_dimension() == expected.shape[1]
    atol = 5e-6 * max(1, expected.max())  # Sums may be large.
    np.testing.assert_allclose(vectors.to_dense(), expected, rtol=0, atol=atol)
    return vectors


@pytest.mark.parametrize("family", FAMILIES)
def test_models_without_modules(tmp_path, family):
    vectors = assert_same(masked_language_model(tmp_path / "m", family))
    assert 0 < len(vectors.values) < 0.9 * len(vectors) * vectors.dimensions


def test_a_real_model():
    assert_same(splade_folder(), [*odd_texts(100), *docstrings()[:100]])


@pytest.mark.parametrize("mode", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_splade(tmp_path, mode, activation):
    source = masked_language_model(tmp_path / "source", "bert")
    folder = splade(tmp_path / "m", source, pooling_strategy=mode, activation_function=activation)
    assert_same(folder)
    assert_same(folder, odd_texts(50), max_active_dims=5)


def test_a_decoder_of_its_own(tmp_path):
    assert_same(masked_language_model(tmp_path / "m", "bert", tie_word_embeddings=False))


# SparseEncoder

TEXTS = ["the cat sat", "a dog", "", "on the mat the cat sat"]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A SPLADE model in both libraries, with prompts."""
    folder = tmp_path_factory.mktemp("both")
    splade(folder / "m", masked_language_model(folder / "source", "bert"))
    tiny.edit_json(folder / "m" / "config_sentence_transformers.json", prompts={"query": "cat: ", "document": "dog "})
    return ours.SparseEncoder(folder / "m"), SparseEncoder(str(folder / "m"), device="cpu")


def same(one, other):
    """The same shapes and, nearly, numbers; and the same kind of tensor."""
    if isinstance(other, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            same(mine, theirs)
        return
    if isinstance(one, SparseVectors):
        one = torch.from_numpy(one.to_dense() if other.ndim == 2 else one.to_dense()[0])
    else:
        assert one.is_sparse == other.is_sparse
    assert one.shape == other.shape
    np.testing.assert_allclose(one.to_dense().numpy(), other.to_dense().numpy(), rtol=0, atol=5e-6)


@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
@pytest.mark.parametrize("inputs", [TEXTS, TEXTS[0], []])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"convert_to_tensor": True},
        {"convert_to_tensor": True, "convert_to_sparse_tensor": False},
        {"convert_to_tensor": False},
        {"max_active_dims": 3},
        {"prompt": "the "},
        {"prompt_name": "document", "convert_to_tensor": True, "save_to_cpu": True},
    ],
)
def test_encode(both, method, inputs, options):
    mine, theirs = both
    expected = getattr(theirs, method)(inputs, batch_size=1, **options)
    found = getattr(mine, method)(inputs, **options)
    if not inputs:
        assert len(found) == len(expected) == 0
        return
    same(found, expected)


@pytest.mark.parametrize("name", ["dot", "cosine", "euclidean", "manhattan"])
def test_similarity(both, name):
    mine, theirs = both
    vectors, tensors = mine.encode(TEXTS), theirs.encode(TEXTS, batch_size=1)
    mine.similarity_fn_name = theirs.similarity_fn_name = name
    try:
        expected, pairs = theirs.similarity(tensors, tensors), theirs.similarity_pairwise(tensors, tensors)
        for given in (vectors, tensors):
            tolerance = 5e-3 if name == "euclidean" else 1e-5  # There, a distance of 0 is the root of a rounding error.
            np.testing.assert_allclose(mine.similarity(given, given), expected.to_dense(), rtol=1e-5, atol=tolerance)
            found = mine.similarity_pairwise(given, given)
            np.testing.assert_allclose(found, pairs.to_dense(), rtol=1e-5, atol=tolerance)
    finally:
        mine.similarity_fn_name = theirs.similarity_fn_name = None


def test_decode_sparsity_and_intersection(both):
    mine, theirs = both
    vectors, tensors = mine.encode(TEXTS), theirs.encode(TEXTS, batch_size=1)
    for top_k in (None, 2):
        for found, expected in zip(mine.decode(vectors, top_k), theirs.decode(tensors, top_k), strict=True):
            assert [token for token, _ in found] == [token for token, _ in expected]
            assert [weight for _, weight in found] == pytest.approx([weight for _, weight in expected], abs=5e-6)
    assert mine.decode(tensors[0], 3) == theirs.decode(tensors[0], 3)
    assert mine.sparsity(vectors) == pytest.approx(theirs.sparsity(tensors))
    same(mine.intersection(vectors[0], vectors), theirs.intersection(tensors[0], tensors))
    same(mine.intersection(tensors[0], tensors[1]), theirs.intersection(tensors[0], tensors[1]))
    assert mine.get_embedding_dimension() == theirs.get_embedding_dimension()
    assert mine.max_active_dims == theirs.max_active_dims


@pytest.mark.parametrize("normalize", [False, True])
def test_a_sparse_autoencoder(tmp_path, normalize):
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    source = tiny.write_model(tmp_path / "source")
    torch.manual_seed(0)
    autoencoder = SparseAutoEncoder(tiny_families.HIDDEN, hidden_dim=64, k=9, k_aux=16, normalize=normalize)
    for parameter in autoencoder.parameters():
        torch.nn.init.normal_(parameter.data, 0, 0.3)
    modules = [Transformer(str(source)), Pooling(tiny_families.HIDDEN), autoencoder]
    SparseEncoder(modules=modules, device="cpu").save(str(tmp_path / "m"))
    vectors = assert_same(tmp_path / "m")
    assert vectors.lengths.max() <= 9
    assert_same(tmp_path / "m", max_active_dims=4)
    assert ours.SparseEncoder(tmp_path / "m").max_active_dims == SparseEncoder(str(tmp_path / "m")).max_active_dims == 9


@pytest.mark.parametrize("default_route", ["document", None])
def test_queries_without_inference(tmp_path, default_route):
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling

    source = masked_language_model(tmp_path / "source", "bert")
    transformer = Transformer(str(source), transformer_task="fill-mask")
    torch.manual_seed(0)
    weights = torch.randn(len(transformer.tokenizer)).clip(min=0)
    table = SparseStaticEmbedding(transformer.tokenizer, weights)
    document = [transformer, SpladePooling("max", "log1p_relu")]
    router = Router.for_query_document([table], document, default_route=default_route)
    SparseEncoder(modules=[router], device="cpu", similarity_fn_name="dot").save(str(tmp_path / "m"))
    mine, theirs = ours.SparseEncoder(tmp_path / "m", on_truncation="cut"), SparseEncoder(str(tmp_path / "m"))
    texts = [text for text in tiny.TEXTS if text]  # Theirs takes no text without tokens.
    same(mine.encode_document(texts), theirs.encode_document(texts, batch_size=1))
    same(mine.encode_query(texts), theirs.encode_query(texts, batch_size=1))
    same(mine.encode_query(texts, max_active_dims=2), theirs.encode_query(texts, batch_size=1, max_active_dims=2))
    explained = mine.embedder.explain("the cat sat", "a dog sat")
    score = mine.embedder.embed_query("the cat sat").dot(mine.embedder.embed_documents(["a dog sat"])).item()
    assert explained.score == pytest.approx(score, rel=1e-6)
    assert not len(mine.embedder.embed_query("").values)


def test_another_encoder_for_queries(tmp_path):
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    routes = [
        [
            Transformer(str(masked_language_model(tmp_path / family, family)), transformer_task="fill-mask"),
            SpladePooling(),
        ]
        for family in ("bert", "distilbert")
    ]
    SparseEncoder(modules=[Router.for_query_document(*routes)], device="cpu").save(str(tmp_path / "m"))
    mine, theirs = ours.SparseEncoder(tmp_path / "m", on_truncation="cut"), SparseEncoder(str(tmp_path / "m"))
    same(mine.encode_document(tiny.TEXTS), theirs.encode_document(tiny.TEXTS, batch_size=1))
    same(mine.encode_query(tiny.TEXTS), theirs.encode_query(tiny.TEXTS, batch_size=1))


@pytest.mark.parametrize("mode", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_the_torch_engine_gives_the_same_weights(tmp_path, mode, activation, monkeypatch):
    from pellucid.engines.torch import vocabulary

    folder = tiny.write_splade_model(tmp_path / "m", pooling_strategy=mode, activation_function=activation)
    texts = [*tiny.TEXTS, *odd_texts(30)]
    expected = SparseEmbedder(folder, on_truncation="cut").embed_documents(texts, max_active_dims=20)
    for scores in (1 << 23, 300):
        monkeypatch.setattr(vocabulary, "_CPU_SCORES", scores)
        embedder = SparseEmbedder(folder, engine="torch", on_truncation="cut")
        found = embedder.embed_documents(texts, max_active_dims=20)
        np.testing.assert_allclose(found.to_dense(), expected.to_dense(), rtol=0, atol=2e-5)
        assert len(embedder.embed_documents([])) == 0
