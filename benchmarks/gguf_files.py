"""Writes a BERT model as a GGUF file for llama.cpp, as llama.cpp's own converter would.

That converter is no package but a script of llama.cpp's repository, so this does its work with the `gguf` package. The
specification is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ALWAYS_FLOAT32 = ("position_embd", "token_types")
"""Tables that llama.cpp's converter leaves in float32, as it does everything that is not a matrix."""
WORD_START = "\u2581"
"""llama.cpp marks the beginning of a word; BERT marks the other pieces, with ##."""


def write_bert(model: Path, file: Path, matrix_type: str) -> None:
    """Write a model of type BERT with mean pooling.

    Args:
        model: the model's folder.
        file: the file to write.
        matrix_type: the type of its matrices, "F16" or "Q8_0" (8 bits, and a scale for each 32 numbers).

    Raises:
        ValueError: the model is not of type BERT.
    """
    import gguf
    from safetensors.numpy import load_file

    config = json.loads((model / "config.json").read_text())
    if config["model_type"] != "bert":
        raise ValueError(f"only BERT can be written for llama.cpp here, not {config['model_type']}")
    writer = gguf.GGUFWriter(file, "bert")
    writer.add_name(model.name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(config["type_vocab_size"])
    _add_vocabulary(writer, model)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, tensor in load_file(model / "model.safetensors").items():
        if name == "embeddings.position_ids" or name.startswith("pooler."):
            continue
        _add_tensor(writer, str(names.get_name(name, try_suffixes=(".weight", ".bias"))), tensor, matrix_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tensor(writer: Any, name: str, tensor: npt.NDArray[Any], matrix_type: str) -> None:
    import gguf

    tensor = tensor.astype(np.float32)
    is_exact = tensor.ndim == 1 or name.startswith(ALWAYS_FLOAT32)
    dtype = gguf.GGMLQuantizationType["F32" if is_exact else matrix_type]
    writer.add_tensor(name, gguf.quants.quantize(tensor, dtype), raw_dtype=dtype)


def _add_vocabulary(writer: Any, model: Path) -> None:
    import gguf

    tokenizer = json.loads((model / "tokenizer.json").read_text())
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    special = {token["content"] for token in tokenizer["added_tokens"]}
    tokens = sorted(ids, key=ids.__getitem__)
    kinds = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("bert")
    writer.add_token_list([token if token in special else _marked(token) for token in tokens])
    writer.add_token_types(kinds)
    gguf.SpecialVocab(model, n_vocab=len(tokens)).add_to_gguf(writer)


def _marked(token: str) -> str:
    return token[2:] if token.startswith("##") else WORD_START + token
