"""Models that are GGUF files, beside the same models in sentence-transformers' files."""

from __future__ import annotations

import json
import re
import shutil
import sys

import gguf
import numpy as np
import pytest

from pellucid import Embedder
from pellucid.errors import (
    InvalidModelError,
    MissingExtraError,
    ModelNotFoundError,
    OptionError,
    UnsupportedModelError,
)
from pellucid.model.tensors import Tensors
from pellucid.sources import local
from tests import gguf_models, tiny

TEXTS = [text for text in tiny.TEXTS if len(text.split()) < tiny.MAX_TOKENS - 2]


def embed(model, cache, engine="reference"):
    return Embedder(model, cache_folder=cache, engine=engine).embed_documents(TEXTS)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return gguf_models.write_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory):
    return gguf_models.write_qwen3(tmp_path_factory.mktemp("qwen3"))


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("family", ["bert", "qwen3"])
def test_vectors_have_the_same_bits(family, engine, request, cache):
    folder, file = request.getfixturevalue(family)
    np.testing.assert_array_equal(embed(file, cache, engine), embed(folder, cache, engine))


@pytest.mark.parametrize(("kind", "lowest_cosine"), [("F16", 0.99999), ("Q8_0", 0.999), ("Q4_0", 0.95)])
def test_smaller_types_give_nearly_the_same_vectors(tmp_path, cache, kind, lowest_cosine):
    folder, file = gguf_models.write_qwen3(tmp_path, kind)
    cosines = (embed(file, cache) * embed(folder, cache)).sum(axis=1)
    assert lowest_cosine < cosines.min() < 1 + 1e-6


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_blocks_are_read_as_the_package_does(tmp_path, kind):
    model = tmp_path / "folder"
    model.mkdir()
    _, file = gguf_models.write_qwen3(tmp_path, kind)
    shutil.copy(file, model / "model.gguf")
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}["blk.1.ffn_down.weight"]
    ours = Tensors.open(local.find(str(model))).read("layers.1.mlp.down_proj.weight", (64, 96))
    np.testing.assert_array_equal(ours, gguf.quants.dequantize(theirs.data, theirs.tensor_type))


def test_without_the_package_the_message_names_the_extra(tmp_path, cache, monkeypatch):
    _, file = gguf_models.write_qwen3(tmp_path, "Q8_0")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"numbers of the type Q8_0 needs the package 'gguf'.*\.\[gguf\]"):
        embed(file, cache)


def test_tokens_are_those_of_the_original(qwen3, bert, cache):
    for folder, file in (qwen3, bert):
        texts = [*TEXTS, "Ὁ  Ἥλιος\n\n12345 don't  ", "naïve CAFÉ 你好"]
        models = [Embedder(model, cache_folder=cache, engine="reference") for model in (folder, file)]
        theirs, ours = (model.tokenizer.tokenize_plain(texts) for model in models)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        np.testing.assert_array_equal(ours.offsets, theirs.offsets)


def test_the_model_has_the_name_that_was_given(bert, cache):
    embedder = Embedder(bert[1], cache_folder=cache, engine="reference")
    assert embedder.model_name == str(bert[1])


def test_weights_beside_the_models_own_files(bert, tmp_path, cache):
    """What the JSON files say comes first: here, the first token's vector, and no change of its length."""
    folder = tmp_path / "m"
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    tiny.write_model(folder, modules=["Pooling"], pooling=pooling)
    expected = embed(folder, cache)
    (folder / "model.safetensors").unlink()
    shutil.copy(bert[1], folder / "model.gguf")
    np.testing.assert_array_equal(embed(folder, cache), expected)


def test_a_file_is_unpacked_once_and_again_when_it_changes(bert, tmp_path, cache):
    file = shutil.copy(bert[1], tmp_path / "m.bin")  # Ollama's files have no .gguf at the end.
    before = embed(file, cache)
    (unpacked,) = [path for path in (cache / "pellucid" / "gguf").iterdir() if path.is_dir()]
    config = (unpacked / "config.json").stat().st_mtime_ns
    np.testing.assert_array_equal(embed(file, cache), before)
    assert (unpacked / "config.json").stat().st_mtime_ns == config
    gguf_models.rewrite(bert[1], file, bert__pooling_type=2)
    assert not np.array_equal(embed(file, cache), before)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"bert__pooling_type": 0}, UnsupportedModelError, "bert.pooling_type is 0"),
        ({"bert__pooling_type": None}, UnsupportedModelError, "bert.pooling_type is 0"),
        ({"bert__block_count": None}, InvalidModelError, "must have 'bert.block_count' as int, but there is none"),
        ({"bert__block_count": "two"}, InvalidModelError, "'bert.block_count' as int, but it is of type str"),
        ({"bert__block_count": 9}, InvalidModelError, "the weights have no tensor 'encoder.layer.3."),
        ({"bert__embedding_length": 24}, InvalidModelError, "has shape"),
        ({"tokenizer__ggml__model": "t5"}, UnsupportedModelError, "'bert' with a tokenizer of the kind 't5'"),
        ({"tokenizer__ggml__tokens": [1, 2]}, InvalidModelError, "tokenizer.ggml.tokens must be a list of strings"),
        ({"tokenizer__ggml__tokens": ["[CLS]", "[UNK]"]}, InvalidModelError, "tokenizer.ggml.tokens has no [SEP]"),
        ({"bert__rope__scaling__type": "yarn"}, UnsupportedModelError, "'yarn' scaling"),
    ],
)
def test_what_cannot_be_right_is_refused(bert, tmp_path, cache, changes, error, message):
    file = gguf_models.rewrite(bert[1], tmp_path / "m.gguf", **changes)
    with pytest.raises(error, match=re.escape(message)):
        embed(file, cache)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tokenizer__ggml__pre": "llama-bpe"}, UnsupportedModelError, "tokenizer.ggml.pre 'llama-bpe'"),
        ({"tokenizer__ggml__merges": ["a b c"]}, InvalidModelError, "does not fit tokenizer.ggml.tokens"),
        ({"tokenizer__ggml__token_type": [1]}, InvalidModelError, "does not fit tokenizer.ggml.tokens"),
        ({"tokenizer__ggml__eos_token_id": 5000}, InvalidModelError, "eos_token_id is 5,000"),
        ({"tokenizer__ggml__merges": ["zz yy"]}, InvalidModelError, "the tokenizer's files are broken"),
    ],
)
def test_a_tokenizer_that_cannot_be_right_is_refused(qwen3, tmp_path, cache, changes, error, message):
    file = gguf_models.rewrite(qwen3[1], tmp_path / "m.gguf", **changes)
    with pytest.raises(error, match=re.escape(message)):
        embed(file, cache)


def test_a_damaged_file_is_refused_by_its_name(bert, tmp_path, cache):
    file = tmp_path / "m.gguf"
    file.write_bytes(bert[1].read_bytes()[:-100])
    with pytest.raises(InvalidModelError, match=r"m\.gguf is not a sound GGUF file .* get the file again"):
        embed(file, cache)
    assert not list(cache.glob("pellucid/gguf/*"))


def test_another_file_is_no_model(tmp_path, cache):
    (tmp_path / "m.gguf").write_bytes(b"GGML")
    with pytest.raises(ModelNotFoundError, match="is a file, and not a GGUF file"):
        embed(tmp_path / "m.gguf", cache)


def test_a_cache_that_cannot_be_written_is_named(bert, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OptionError, match="cannot be written to .* Give a cache_folder"):
        embed(bert[1], tmp_path / "file")


def test_nomic_bert_has_the_names_that_llama_cpp_gives_it(tmp_path, cache):
    """The names come from the package's own table, which llama.cpp's converter uses."""
    from tests.layouts import LAYOUTS, write

    folder = write(tmp_path / "m", LAYOUTS["nomic-ai/nomic-embed-text-v1.5"], shrink=True)
    file = gguf_models.write_nomic_bert(folder, tmp_path / "m.gguf")
    theirs = embed(folder, cache)  # Their modules do not change its length. A GGUF file's are always normalized.
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(embed(file, cache), theirs, rtol=0, atol=1e-6)


def test_the_unpacked_config_says_what_the_file_says(qwen3, cache):
    embed(qwen3[1], cache)
    (unpacked,) = [path for path in (cache / "pellucid" / "gguf").iterdir() if path.is_dir()]
    config = json.loads((unpacked / "config.json").read_text())
    original = {key: value for key, value in gguf_models.TINY_QWEN3.items() if key != "architectures"}
    assert config["rms_norm_eps"] == np.float32(original.pop("rms_norm_eps"))  # GGUF has it in float32.
    assert {key: config[key] for key in original} == original
    assert config["is_causal"] is True
