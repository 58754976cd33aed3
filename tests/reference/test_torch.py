"""Compares the torch engine with sentence-transformers, for Pellucid's families and for those of transformers alone."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from pellucid import Embedder
from pellucid.engines.torch.devices import check_devices
from pellucid.engines.torch.engine import TorchEngine
from pellucid.engines.torch.several import SeveralDevices
from pellucid.errors import (
    DeviceError,
    InvalidModelError,
    OptionError,
    UnsupportedModelError,
)
from pellucid.layers.finish import Pool
from pellucid.layers.pooling import MODES, Pooling, pool
from pellucid.types import TokenBatch
from tests import tiny
from tests.reference.conftest import encode_alone, load_reference
from tests.reference.test_families import FLAGS
from tests.reference.texts import SCRIPTS, docstrings

CLOSE = {"rtol": 0, "atol": 2e-6}


@pytest.fixture(scope="module")
def torch_bert(tiny_bert):
    return Embedder(tiny_bert, engine="torch", on_truncation="ignore")


def assert_same(folder, **options) -> None:
    """The torch engine and sentence-transformers give the same vectors."""
    ours, theirs = Embedder(folder, engine="torch", on_truncation="ignore"), load_reference(folder)
    vectors = ours.embed_documents(tiny.TEXTS, **options)
    expected = encode_alone(theirs, tiny.TEXTS, **options)
    np.testing.assert_allclose(vectors, expected, **CLOSE)
    np.testing.assert_allclose(ours.embed_query(tiny.TEXTS[3], **options), expected[3], **CLOSE)


@pytest.mark.parametrize("modes", [*([flag] for flag in FLAGS), FLAGS])
def test_families_and_pooling_modes(family, tmp_path, modes):
    assert_same(tiny.write_model(tmp_path / "m", family, pooling=dict.fromkeys(modes, True), modules=["Pooling"]))


def test_modules_after_the_pooling(family, tmp_path):
    modules = ["Pooling", "Dense", "LayerNorm", "Normalize"]
    assert_same(tiny.write_model(tmp_path / "m", family, modules=modules))


def test_the_real_model(minilm, reference_minilm):
    ours = Embedder(minilm.files.folder, engine="torch", on_truncation="ignore")
    texts = [*docstrings()[:200], *SCRIPTS, "", "word " * 300]
    np.testing.assert_allclose(ours.embed_documents(texts), encode_alone(reference_minilm, texts), **CLOSE)
    for dtype, engine in (("bfloat16", "torch"), ("float16", "auto")):
        half = Embedder(minilm.files.folder, dtype=dtype, engine=engine, on_truncation="ignore")
        assert half.engine.name == "torch"
        cosines = (half.embed_documents(texts) * ours.embed_documents(texts)).sum(axis=1)
        assert cosines.min() > 0.999


def write_decoder(folder, kind, **settings):
    """Write a tiny decoder that makes embeddings, as people publish them: last token, prompts, padding on the left."""
    import transformers

    tiny.write_model(
        folder,
        "roberta",
        pooling={"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True},
        prompts={"query": "query: the ", "document": ""},
    )
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": tiny.HIDDEN,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
    }
    config = getattr(transformers, f"{kind}Config")(**sizes, **settings)
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, 1.0 if parameter.ndim == 1 else 0.0, 0.3)
    model.save_pretrained(folder)
    tokenizer = {"tokenizer_class": "PreTrainedTokenizerFast", "padding_side": "left", "model_max_length": 512}
    tiny.write_json(folder / "tokenizer_config.json", {**tokenizer, "pad_token": "<pad>", "eos_token": "</s>"})
    return folder


DECODERS = {
    "Qwen3": {},
    "Gemma3Text": {"use_bidirectional_attention": True, "sliding_window": 8},
    "Mistral": {"sliding_window": None},
}
OTHER_DECODERS = {"Olmo2": {}, "Gemma2": {"sliding_window": 8}, "Starcoder2": {"sliding_window": None}}
"""Those that only transformers knows."""


@pytest.mark.parametrize("kind", DECODERS | OTHER_DECODERS)
def test_decoders(tmp_path, kind, caplog):
    folder = write_decoder(tmp_path / "m", kind, **(DECODERS | OTHER_DECODERS)[kind])
    with caplog.at_level(logging.WARNING, "pellucid"):
        ours = Embedder(folder, engine="torch" if kind in DECODERS else "auto", on_truncation="ignore")
    assert ours.engine.name == "torch"
    assert ("It runs in PyTorch instead" in caplog.text) == (kind in OTHER_DECODERS)
    theirs = load_reference(folder)
    texts = [text for text in tiny.TEXTS if text]
    np.testing.assert_allclose(ours.embed_documents(texts), encode_alone(theirs, texts), **CLOSE)
    # Here the reference puts all texts into one batch, and pads them on the left.
    np.testing.assert_allclose(ours.embed_documents(texts), theirs.encode(texts), rtol=0, atol=5e-6)
    np.testing.assert_allclose(ours.embed_query(texts[2]), theirs.encode_query(texts[2]), **CLOSE)


def test_the_encoder_of_an_encoder_decoder_model(tmp_path):
    import transformers

    folder = tiny.write_model(tmp_path / "m", "roberta")
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {"vocab_size": vocabulary, "d_model": tiny.HIDDEN, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    transformers.MT5Model(transformers.MT5Config(**sizes)).save_pretrained(folder)
    assert_same(folder)


def test_errors_of_other_engines_suggest_torch(tmp_path):
    folder = write_decoder(tmp_path / "m", "Olmo2")
    for engine in ("native", "reference"):
        with pytest.raises(UnsupportedModelError, match=r"'olmo2' is not supported.*engine='torch' runs"):
            Embedder(folder, engine=engine)
    with pytest.raises(OptionError, match="dtype='int8' is not supported by engine='torch'"):
        Embedder(folder, dtype="int8")
    with pytest.raises(UnsupportedModelError, match="olmo2"):
        Embedder(folder).trace("the cat")


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "sees no CUDA device"),
        ("cuda:7", "no CUDA device|this machine has \\d+ CUDA device"),
        ("tpu", "not one of"),
        ("mps", "mps"),
    ],
)
def test_a_missing_device_is_an_error(tiny_bert, device, message):
    if device.startswith("cuda") and torch.cuda.is_available() and device == "cuda":
        pytest.skip("this machine has CUDA")
    with pytest.raises(OptionError, match=message):
        Embedder(tiny_bert, device=device)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cuda:*", ("cuda:0", "cuda:1")),
        ("cuda:1,cuda:0", ("cuda:1", "cuda:0")),
        ("cuda", ("cuda",)),
        ("cuda:1", ("cuda:1",)),
        ("cpu", ("cpu",)),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_the_names_of_devices(device, expected):
    assert check_devices(device) == expected


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:0,cuda:0", "names a device twice"),
        ("cuda,cuda:0", "names a device twice"),
        ("cuda:0,cuda:2", "this machine has 2 CUDA devices, 'cuda:0' to 'cuda:1'"),
        ("cuda:0,cpu", "'cpu' cannot be one of several"),
        ("cpu,cpu", "'cpu' cannot be one of several"),
        ("cuda:0,", "'' is not one of"),
        ("cpu:*", "not one of"),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_devices_that_cannot_be_used_together(device, message):
    with pytest.raises(OptionError, match=message):
        check_devices(device)


def test_several_devices_become_one_engine(tiny_bert, monkeypatch):
    """The CPU, twice, takes the place of two GPUs."""
    monkeypatch.setattr("pellucid.engines.torch.engine.check_devices", lambda _device: ("cpu", "cpu"))
    several = Embedder(tiny_bert, engine="torch", on_truncation="cut")
    assert isinstance(several.engine, SeveralDevices)
    several.engine._min_tokens = 0
    expected = Embedder(tiny_bert, engine="reference", on_truncation="cut").embed_documents(tiny.TEXTS)
    np.testing.assert_allclose(several.embed_documents(tiny.TEXTS), expected, **CLOSE)


def test_the_code_of_a_model_is_not_run(tmp_path):
    folder = write_decoder(tmp_path / "m", "Qwen3")
    tiny.edit_json(
        folder / "config.json", model_type="mine", auto_map={"AutoModel": "code.Mine", "AutoConfig": "code.C"}
    )
    (folder / "code.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(UnsupportedModelError, match="Pellucid never runs code from a model"):
        Embedder(folder)


def test_pickled_weights_are_not_read(tmp_path):
    folder = write_decoder(tmp_path / "m", "Qwen3")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModelError, match="safetensors"):
        Embedder(folder)


def test_missing_weights_are_an_error(tmp_path):
    folder = write_decoder(tmp_path / "m", "Qwen3")
    tensors = load_file(folder / "model.safetensors")
    missing = next(name for name in tensors if "mlp" in name)
    save_file({name: value for name, value in tensors.items() if name != missing}, folder / "model.safetensors")
    with pytest.raises(InvalidModelError, match=missing.split("layers")[1]):
        Embedder(folder)


class TestOutOfMemory:
    """The device runs out of memory if a step has too many tokens."""

    def limit_tokens(self, monkeypatch, engine: TorchEngine, max_tokens: int) -> list[int]:
        """Make larger steps fail. Returns the list to which each step adds its number of tokens."""
        run_step, sizes = engine._run_step, []

        def limited_step(step, finish):
            padded = len(step.batch) * step.longest
            sizes.append(padded)
            if padded > max_tokens:
                raise torch.OutOfMemoryError
            return run_step(step, finish)

        monkeypatch.setattr(engine, "_run_step", limited_step)
        return sizes

    def test_smaller_steps_give_the_same_vectors_in_order(self, tiny_bert, monkeypatch, caplog):
        embedder = Embedder(tiny_bert, engine="torch", on_truncation="ignore")
        texts = tiny.TEXTS * 40
        expected = embedder.embed_documents(texts)
        sizes = self.limit_tokens(monkeypatch, embedder.engine, 100)
        with caplog.at_level(logging.WARNING, "pellucid"):
            np.testing.assert_allclose(embedder.embed_documents(texts), expected, **CLOSE)
        assert max(sizes) > 100
        assert embedder.engine.tokens_per_step <= 4096
        assert "out of memory; from now on 4096 tokens at a time" in caplog.text

    def test_one_text_that_needs_too_much_memory_is_an_error(self, tiny_bert, monkeypatch):
        embedder = Embedder(tiny_bert, engine="torch", on_truncation="ignore")
        self.limit_tokens(monkeypatch, embedder.engine, 10)
        with pytest.raises(DeviceError, match="too little memory for one text"):
            embedder.embed_documents(["the cat", "cat " * 20])


def test_padding_changes_nothing(family, tmp_path, monkeypatch):
    """On a GPU, one step may have texts of very different lengths."""
    embedder = Embedder(tiny.write_model(tmp_path / "m", family), engine="torch", on_truncation="ignore")
    expected = embedder.embed_documents(tiny.TEXTS)
    monkeypatch.setattr(embedder.engine._encoder, "min_length_ratio", 0.0)
    np.testing.assert_allclose(embedder.embed_documents(tiny.TEXTS), expected, **CLOSE)


@pytest.mark.parametrize("min_length_ratio", [0.0, 1.0])
def test_tokens_of_both_segments(torch_bert, min_length_ratio, monkeypatch):
    monkeypatch.setattr(torch_bert.engine._encoder, "min_length_ratio", min_length_ratio)
    tokens, _ = torch_bert.tokenizer.tokenize(tiny.TEXTS)
    pairs = TokenBatch(tokens.ids, tokens.offsets, (np.arange(len(tokens.ids)) % 3 == 0).astype(np.int8))
    reference = Embedder(torch_bert.files.folder, engine="reference").engine
    np.testing.assert_allclose(torch_bert.engine.token_vectors(pairs), reference.token_vectors(pairs), atol=1e-5)
    assert not np.allclose(reference.token_vectors(tokens), reference.token_vectors(pairs), atol=1e-2)


@pytest.mark.parametrize("min_length_ratio", [0.0, 1.0])
@pytest.mark.parametrize("skip", [0, 1, 3, 30])
@pytest.mark.parametrize("modes", [*((mode,) for mode in MODES), tuple(MODES)])
def test_pooling_on_the_device_gives_what_pool_gives(torch_bert, modes, skip, min_length_ratio, monkeypatch):
    engine = torch_bert.engine
    monkeypatch.setattr(engine._encoder, "min_length_ratio", min_length_ratio)
    tokens, _ = torch_bert.tokenizer.tokenize(tiny.TEXTS)
    pooling = Pooling(modes, include_prompt=False)
    expected = pool(engine.token_vectors(tokens), tokens.offsets, pooling, skip)
    np.testing.assert_allclose(engine.run(tokens, Pool(pooling, prompt_tokens=skip)), expected, **CLOSE)
