"""Writes tiny GGUF files with the package gguf, as llama.cpp's converter names and stores things."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

from tests import tiny

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TINY_QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 1200,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "attention_bias": False,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
}


def benchmark_module(name: str) -> Any:
    """A module of benchmarks/, which is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


def write_bert(folder: Path, kind: str = "F32") -> tuple[Path, Path]:
    """A tiny BERT, as a folder and as a GGUF file."""
    model = tiny.write_model(folder / "model")
    benchmark_module("gguf_files").write_bert(model, folder / "model.gguf", kind)
    return model, folder / "model.gguf"


def write_qwen3(folder: Path, kind: str = "F32") -> tuple[Path, Path]:
    """A tiny Qwen3 with last-token pooling, as a folder and as a GGUF file."""
    models = benchmark_module("decoder_models")
    model = folder / "model"
    models.write_model(models.Shape(TINY_QWEN3, pooling="lasttoken"), model)
    benchmark_module("gguf_files").write_decoder(model, folder / "model.gguf", kind)
    return model, folder / "model.gguf"


def write_nomic_bert(model: Path, file: Path) -> Path:
    """A GGUF file of a NomicBERT in the files of Nomic's own code. The names are from the package's table."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(file, "nomic-bert")
    writer.add_block_count(config["n_layer"])
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(config["n_embd"])
    writer.add_feed_forward_length(config["n_inner"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_rope_freq_base(config["rotary_emb_base"])
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    benchmark_module("gguf_files").add_word_piece(writer, model)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.NOMIC_BERT, config["n_layer"])
    for name, tensor in load_file(model / "model.safetensors").items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor)
    benchmark_module("gguf_files").write_and_close(writer)
    return file


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a GGUF file with other metadata. A key has ``__`` for a dot, and None removes it."""
    reader = gguf.GGUFReader(source)
    wanted = {key.replace("__", "."): value for key, value in changes.items()}
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", *wanted):
            continue
        kind = field.types[0]
        sub_type = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=sub_type)
    for name, value in wanted.items():
        if value is not None:
            writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
    benchmark_module("gguf_files").write_and_close(writer)
    return target
