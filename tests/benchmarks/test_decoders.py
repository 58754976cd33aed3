"""The measurement of decoders from start to end, with tiny models; and their files for llama.cpp."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors import safe_open

from tests.gguf_models import TINY_QWEN3

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"
TINY_GEMMA = {
    **TINY_QWEN3,
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "rope_local_base_freq": 10_000.0,
    "sliding_window": 512,
}


@pytest.fixture
def decoders(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import decoders

    return decoders


@pytest.fixture
def shapes(decoders, monkeypatch):
    models = decoders.decoder_models
    monkeypatch.setitem(models.SHAPES, "tiny-qwen3", models.Shape(TINY_QWEN3, "lasttoken"))
    monkeypatch.setitem(models.SHAPES, "tiny-gemma", models.Shape(TINY_GEMMA, "mean", ((64, 96), (96, 64))))
    return models.SHAPES


def test_from_start_to_end(decoders, shapes, tmp_path, capsys):
    contenders = ["pellucid", "pellucid-reference", "llamacpp-q8_0"]
    output = tmp_path / "figures.json"
    options = ["--texts", "2", "--rounds", "2", "--models", "tiny-qwen3", "--contenders", *contenders]
    folders = ["--pellucid-python", sys.executable, "--converted", str(tmp_path), "--output", str(output)]
    decoders.main([*options, *folders])
    measured = json.loads(output.read_text())["models"]["tiny-qwen3"]
    assert 200 <= measured["tokens"]["texts"] <= 300
    assert 10 <= measured["tokens"]["query"] <= 14
    for name in contenders[:2]:
        figures = measured["contenders"][name]
        assert [len(values) for values in figures.values()] == [2] * 5
        assert all(value > 0 for values in figures.values() for value in values)
    # Without llama-cpp-python, its contender is listed with the reason; its file has been made all the same.
    assert "llamacpp-q8_0" in {*measured["skipped"], *measured["contenders"]}
    assert (tmp_path / "tiny-qwen3" / "gguf-q8_0" / "model.gguf").is_file()
    printed = capsys.readouterr().out
    assert "| pellucid-reference |" in printed
    assert "llamacpp-q8_0" in printed


def test_weights_have_the_sizes_of_a_trained_models(decoders, shapes, tmp_path):
    decoders.decoder_models.write_model(shapes["tiny-qwen3"], tmp_path / "m")
    with safe_open(tmp_path / "m" / "model.safetensors", "numpy") as file:
        assert file.get_slice("layers.1.mlp.down_proj.weight").get_dtype() == "BF16"
    tensors = dict(decoders.decoder_models.read_tensors(tmp_path / "m" / "model.safetensors"))
    assert tensors["embed_tokens.weight"].std() == pytest.approx(0.02, rel=0.02)
    assert tensors["norm.weight"].mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("name", "kind"), [("tiny-qwen3", "QWEN3"), ("tiny-gemma", "GEMMA_EMBEDDING")])
def test_llama_cpp_knows_every_tensor(decoders, shapes, tmp_path, name, kind):
    model = tmp_path / "m"
    decoders.decoder_models.write_model(shapes[name], model)
    from gguf_files import write_decoder

    write_decoder(model, tmp_path / "m.gguf", "Q4_0")
    known = {
        f"{gguf.TENSOR_NAMES[tensor].format(bid=layer)}.weight"
        for tensor in gguf.MODEL_TENSORS[gguf.MODEL_ARCH[kind]]
        for layer in range(TINY_QWEN3["num_hidden_layers"])
    }
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert tensors.keys() <= known
    assert len(tensors) == sum(1 for _ in decoders.decoder_models.read_tensors(model / "model.safetensors")) + 2 * (
        name == "tiny-gemma"
    )
    # llama.cpp's norms are about 1, whatever the family's own form.
    assert np.mean(tensors["output_norm.weight"].data) == pytest.approx(1, abs=0.02)
