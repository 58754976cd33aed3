"""Writes a model as a GGUF file for llama.cpp, as llama.cpp's own converter would: BERT, Qwen3, and EmbeddingGemma.

That converter is no package but a script of llama.cpp's repository, so this does its work with the `gguf` package. The
specification is https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from decoder_models import read_tensors

ALWAYS_FLOAT32 = ("position_embd", "token_types")
"""Tables that llama.cpp's converter leaves in float32, as it does everything that is not a matrix."""
WORD_START = "\u2581"
"""llama.cpp marks the beginning of a word; BERT marks the other pieces, with ##."""
DECODERS = {"qwen3": "qwen3", "gemma3_text": "gemma-embedding"}
"""The decoders, by their model_type, and what llama.cpp calls them."""
_NAMES = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NORMS = {
    "qwen3": {"post_attention_layernorm": "ffn_norm"},
    "gemma3_text": {
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
}


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
    _add_sizes(writer, model, config)
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(config["type_vocab_size"])
    add_word_piece(writer, model)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, tensor in load_file(model / "model.safetensors").items():
        if name == "embeddings.position_ids" or name.startswith("pooler."):
            continue
        _add_tensor(writer, str(names.get_name(name, try_suffixes=(".weight", ".bias"))), tensor, matrix_type)
    write_and_close(writer)


def write_decoder(model: Path, file: Path, matrix_type: str) -> None:
    """Write a model that is one of :data:`DECODERS`, with a byte-level BPE tokenizer that has the pattern of Qwen2.

    Args:
        model: the model's folder.
        file: the file to write.
        matrix_type: the type of its matrices, "F16", "Q8_0", or "Q4_0" (4 bits, and a scale for each 32 numbers). With
            "Q4_0", the table of tokens is Q8_0. llama.cpp's own tool makes it Q6_K, which the package cannot write.

    Raises:
        ValueError: the model is none of them.
    """
    import gguf

    config = json.loads((model / "config.json").read_text())
    kind = config["model_type"]
    if kind not in DECODERS:
        raise ValueError(f"only {' and '.join(DECODERS)} can be written for llama.cpp here, not {kind}")
    writer = gguf.GGUFWriter(file, DECODERS[kind])
    _add_sizes(writer, model, config)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "sliding_window" in config:
        writer.add_sliding_window(config["sliding_window"])
        writer.add_rope_freq_base_swa(config["rope_local_base_freq"])
    pooling = json.loads((model / "1_Pooling" / "config.json").read_text())
    is_last = pooling.get("pooling_mode_lasttoken", False)
    writer.add_pooling_type(gguf.PoolingType.LAST if is_last else gguf.PoolingType.MEAN)
    _add_byte_level_vocabulary(writer, model, config["vocab_size"])
    for folder in sorted(model.glob("*_Dense")):
        dense = json.loads((folder / "config.json").read_text())
        name = f"dense_{folder.name[0]}"
        writer.add_dense_features_dims(name, dense["in_features"], dense["out_features"])
        for _, weight in read_tensors(folder / "model.safetensors"):
            _add_tensor(writer, f"{name}.weight", weight, matrix_type)
    for name, numbers in read_tensors(model / "model.safetensors"):
        is_table = name == "embed_tokens.weight" and matrix_type == "Q4_0"
        # Gemma's norms add one to their weights. Those of llama.cpp do not.
        tensor = numbers + 1 if kind == "gemma3_text" and numbers.ndim == 1 else numbers
        _add_tensor(writer, _decoder_name(name, kind), tensor, "Q8_0" if is_table else matrix_type)
    write_and_close(writer)


def _decoder_name(name: str, kind: str) -> str:
    part = name.removesuffix(".weight")
    names = _NAMES | _NORMS[kind]
    if not part.startswith("layers."):
        return f"{names[part]}.weight"
    _, number, part = part.split(".", 2)
    return f"blk.{number}.{names[part]}.weight"


def _add_byte_level_vocabulary(writer: Any, model: Path, size: int) -> None:
    """The tokens, and as many unused ones as the model has rows for."""
    import gguf

    tokenizer = json.loads((model / "tokenizer.json").read_text())
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    tokens = {number: token for token, number in ids.items()} | special
    unused = gguf.TokenType.UNUSED
    kinds = [gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL for i in sorted(tokens)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([tokens.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types(kinds + [unused] * (size - len(tokens)))
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_eos_token_id(next(iter(special)))
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)


def _add_sizes(writer: Any, model: Path, config: dict[str, Any]) -> None:
    """Add the name, and the sizes that every architecture has."""
    writer.add_name(model.name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])


def write_and_close(writer: Any) -> None:
    """Write all that was added to a file, and close it."""
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


def add_word_piece(writer: Any, model: Path) -> None:
    """Add the vocabulary of a BERT, in llama.cpp's spelling."""
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
