"""Compares sparse vectors with those of sentence-transformers' ``SparseEncoder``, for random models that it saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder

from pellucid import Encoder, SparseEmbedder
from tests import tiny, tiny_families
from tests.reference.texts import odd_texts

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
    ours, theirs = SparseEmbedder(folder, on_truncation="cut"), SparseEncoder(str(folder), device="cpu")
    vectors = ours.embed_documents(texts, **options)
    expected = theirs.encode(list(texts), batch_size=1, convert_to_sparse_tensor=False, **options).numpy()
    assert ours.max_tokens == theirs.max_seq_length
    assert ours.dimensions == theirs.get_embedding_dimension() == expected.shape[1]
    atol = 5e-6 * max(1, expected.max())  # Sums may be large.
    np.testing.assert_allclose(vectors.to_dense(), expected, rtol=0, atol=atol)
    return vectors


@pytest.mark.parametrize("family", FAMILIES)
def test_models_without_modules(tmp_path, family):
    vectors = assert_same(masked_language_model(tmp_path / "m", family))
    assert 0 < len(vectors.values) < 0.9 * len(vectors) * vectors.dimensions


@pytest.mark.parametrize("mode", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_splade(tmp_path, mode, activation):
    source = masked_language_model(tmp_path / "source", "bert")
    folder = splade(tmp_path / "m", source, pooling_strategy=mode, activation_function=activation)
    assert_same(folder)
    assert_same(folder, odd_texts(50), max_active_dims=5)


def test_a_decoder_of_its_own(tmp_path):
    assert_same(masked_language_model(tmp_path / "m", "bert", tie_word_embeddings=False))
