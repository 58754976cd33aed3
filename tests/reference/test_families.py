"""Models of random weights that both load from the same folder: written by our tests, and by transformers itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pellucid import Embedder
from tests import tiny
from tests.reference.conftest import encode_alone, load_reference

TEXTS = ["", "the", "the cat sat on the mat", "A dog, a cat!", "<s> [SEP] </s> <pad> [PAD]", "cat " * 20]
TEXTS += ["cat " * count for count in (tiny.MAX_TOKENS - 3, tiny.MAX_TOKENS - 2, tiny.MAX_TOKENS - 1, 90)]
FLAGS = [
    "pooling_mode_cls_token",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
]


def assert_same(folder, **options) -> None:
    """Both give the same ids and, within 5e-6, the same vectors."""
    ours, theirs = Embedder(folder), load_reference(folder)
    batch, _ = ours._tokenizer.tokenize(TEXTS)
    expected_ids = theirs.tokenizer(TEXTS, truncation=True, max_length=ours.max_tokens)["input_ids"]
    assert [ids.tolist() for ids in batch] == expected_ids
    assert ours.max_tokens == theirs.max_seq_length
    prompt = options.get("prompt")
    vectors = ours.embed_documents(TEXTS, prompt=prompt)
    np.testing.assert_allclose(vectors, encode_alone(theirs, TEXTS, prompt=prompt), rtol=0, atol=5e-6)


@pytest.mark.parametrize("modes", [*([flag] for flag in FLAGS), FLAGS[:3], FLAGS])
def test_poolings(family, tmp_path, modes):
    assert_same(tiny.write_model(tmp_path / "m", family, pooling=dict.fromkeys(modes, True), modules=["Pooling"]))


@pytest.mark.parametrize("mode", FLAGS)
def test_a_prompt_that_is_left_out_of_the_pooling(family, tmp_path, mode):
    pooling = {mode: True, "include_prompt": False}
    assert_same(tiny.write_model(tmp_path / "m", family, pooling=pooling, modules=["Pooling"]), prompt="query: the ")


@pytest.mark.parametrize("activation", ["activation.Tanh", "activation.GELU", "activation.ReLU", "linear.Identity"])
def test_heads(family, tmp_path, activation):
    modules = ["Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"]
    assert_same(tiny.write_model(tmp_path / "m", family, modules=modules, dense=(8, activation)))


def test_a_plain_transformer(family, tmp_path):
    folder = tiny.write_model(tmp_path / "m", family)
    for name in ("modules.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=20)
    assert_same(folder)


def test_lower_casing_by_the_sentence_config(family, tmp_path):
    folder = tiny.write_model(tmp_path / "m", family)
    tiny.edit_json(folder / "sentence_bert_config.json", do_lower_case=True)
    assert_same(folder)


def test_prompts_of_queries_and_documents(tmp_path):
    folder = tiny.write_model(tmp_path / "m", prompts={"query": "query: ", "document": "passage: "})
    ours, theirs = Embedder(folder), load_reference(folder)
    np.testing.assert_allclose(ours.embed_query("a cat"), theirs.encode_query("a cat"), rtol=0, atol=5e-6)
    np.testing.assert_allclose(ours.embed_documents(["a cat"]), theirs.encode_document(["a cat"]), rtol=0, atol=5e-6)


def random_model(family: str, vocabulary: int):
    """A model that transformers makes, with weights large enough to matter."""
    from transformers import BertConfig, BertModel, MPNetConfig, MPNetModel

    torch.manual_seed(0)
    config, model = (BertConfig, BertModel) if family == "bert" else (MPNetConfig, MPNetModel)
    sizes = {key: tiny.config(family, vocabulary)[key] for key in ("hidden_size", "num_hidden_layers", "vocab_size")}
    sizes |= {"num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 40}
    return model(config(**sizes, initializer_range=0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shard_size", ["5GB", "4KB"])
def test_what_transformers_writes(family, tmp_path, dtype, shard_size):
    folder = tiny.write_model(tmp_path / "m", family)
    model = random_model(family, json.loads((folder / "config.json").read_text())["vocab_size"])
    (folder / "model.safetensors").unlink()
    model.to(dtype).save_pretrained(folder, max_shard_size=shard_size)
    assert (folder / "model.safetensors").exists() == (shard_size == "5GB")
    # The reference would compute in half precision too: it is given the same numbers, widened.
    tiny.edit_json(folder / "config.json", dtype="float32")
    ours, theirs = Embedder(folder), load_reference(folder, model_kwargs={"dtype": torch.float32})
    np.testing.assert_allclose(ours.embed_documents(TEXTS), encode_alone(theirs, TEXTS), rtol=0, atol=5e-6)


def test_a_model_that_was_saved_with_a_head_for_masked_words(family, tmp_path):
    from transformers import BertForMaskedLM, MPNetForMaskedLM

    folder = tiny.write_model(tmp_path / "m", family)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    whole = (BertForMaskedLM if family == "bert" else MPNetForMaskedLM)(random_model(family, vocabulary).config)
    whole.save_pretrained(folder)
    assert_same(folder)
