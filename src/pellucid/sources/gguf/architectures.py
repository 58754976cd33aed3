"""The architectures of GGUF files that Pellucid reads, and how transformers names their settings and tensors.

The keys are from https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and the names of tensors from llama.cpp's
gguf-py/gguf/constants.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pellucid.errors import UnsupportedModelError
from pellucid.sources.gguf.header import GgufTensor, Header


@dataclass(frozen=True)
class Architecture:
    """An architecture: as GGUF has it, and as transformers has it.

    Attributes:
        tokenizer: the kind of tokenizer that its files must have. With another, it is another model: llama.cpp calls
            XLM-RoBERTa "bert", too.
        settings: the keys of config.json whose values are in the file, and the file's keys after the architecture's
            name. Each must be there.
        constants: the rest of config.json.
        layer: how the names of a layer's tensors start.
        names: the tensors' names without ``.weight``, ``.bias`` and what stands before a layer's.
    """

    tokenizer: str
    settings: Mapping[str, tuple[str, type]]
    constants: Mapping[str, Any]
    layer: str
    names: Mapping[str, str]


_BERT = Architecture(
    tokenizer="bert",
    settings={
        "hidden_size": ("embedding_length", int),
        "num_hidden_layers": ("block_count", int),
        "num_attention_heads": ("attention.head_count", int),
        "intermediate_size": ("feed_forward_length", int),
        "max_position_embeddings": ("context_length", int),
        "layer_norm_eps": ("attention.layer_norm_epsilon", float),
    },
    constants={"model_type": "bert", "hidden_act": "gelu"},
    layer="encoder.layer.{}.",
    names={
        "token_embd": "embeddings.word_embeddings",
        "position_embd": "embeddings.position_embeddings",
        "token_types": "embeddings.token_type_embeddings",
        "token_embd_norm": "embeddings.LayerNorm",
        "attn_q": "attention.self.query",
        "attn_k": "attention.self.key",
        "attn_v": "attention.self.value",
        "attn_output": "attention.output.dense",
        "attn_output_norm": "attention.output.LayerNorm",
        "ffn_up": "intermediate.dense",
        "ffn_down": "output.dense",
        "layer_output_norm": "output.LayerNorm",
    },
)
_NOMIC_BERT = Architecture(
    tokenizer="bert",
    settings={
        "n_embd": ("embedding_length", int),
        "n_layer": ("block_count", int),
        "n_head": ("attention.head_count", int),
        "n_inner": ("feed_forward_length", int),
        "n_positions": ("context_length", int),
        "layer_norm_epsilon": ("attention.layer_norm_epsilon", float),
        "rotary_emb_base": ("rope.freq_base", float),
    },
    constants={
        "model_type": "nomic_bert",
        "activation_function": "swiglu",
        "rotary_emb_fraction": 1.0,
        "qkv_proj_bias": False,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
    },
    layer="encoder.layers.{}.",
    names={
        "token_embd": "embeddings.word_embeddings",
        "token_types": "embeddings.token_type_embeddings",
        "token_embd_norm": "emb_ln",
        "attn_qkv": "attn.Wqkv",
        "attn_output": "attn.out_proj",
        "attn_output_norm": "norm1",
        "ffn_up": "mlp.fc11",
        "ffn_gate": "mlp.fc12",
        "ffn_down": "mlp.fc2",
        "layer_output_norm": "norm2",
    },
)
_QWEN3 = Architecture(
    tokenizer="gpt2",
    settings={
        "hidden_size": ("embedding_length", int),
        "num_hidden_layers": ("block_count", int),
        "num_attention_heads": ("attention.head_count", int),
        "num_key_value_heads": ("attention.head_count_kv", int),
        "head_dim": ("attention.key_length", int),
        "intermediate_size": ("feed_forward_length", int),
        "max_position_embeddings": ("context_length", int),
        "rms_norm_eps": ("attention.layer_norm_rms_epsilon", float),
        "rope_theta": ("rope.freq_base", float),
    },
    constants={"model_type": "qwen3", "hidden_act": "silu", "attention_bias": False, "use_sliding_window": False},
    layer="layers.{}.",
    names={
        "token_embd": "embed_tokens",
        "output_norm": "norm",
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    },
)
ARCHITECTURES = {"bert": _BERT, "nomic-bert": _NOMIC_BERT, "qwen3": _QWEN3}
"""All architectures, by ``general.architecture``."""


def get_architecture(header: Header) -> tuple[str, Architecture]:
    """The name of a file's architecture, and what Pellucid knows of it.

    Raises:
        InvalidModelError: the file does not say.
        UnsupportedModelError: Pellucid does not read this architecture from GGUF.
    """
    name = header.get("general.architecture", str)
    tokenizer = header.get("tokenizer.ggml.model", str)
    if name not in ARCHITECTURES or ARCHITECTURES[name].tokenizer != tokenizer:
        supported = ", ".join(f"{name} with {each.tokenizer}" for name, each in ARCHITECTURES.items())
        raise UnsupportedModelError(
            f"{header.where}: the architecture {name!r:.80} with a tokenizer of the kind {tokenizer!r:.80} is not "
            f"supported in GGUF. Supported: {supported}. Use the model's own files, with a model.safetensors."
        )
    return name, ARCHITECTURES[name]


def make_config(header: Header) -> dict[str, Any]:
    """The config.json of the model in a file. The errors are those of :func:`get_architecture`.

    Raises:
        InvalidModelError: a setting is missing.
    """
    name, architecture = get_architecture(header)
    config = {key: header.get(f"{name}.{suffix}", kind) for key, (suffix, kind) in architecture.settings.items()}
    if (scaling := header.get(f"{name}.rope.scaling.type", str, "none")) != "none":
        raise UnsupportedModelError(f"{header.where}: rotary positions with {scaling!r:.80} scaling are not supported.")
    types = header.tensors.get("token_types.weight")
    if types is not None:
        config["type_vocab_size"] = types.shape[0]
    if name == "qwen3":
        config["is_causal"] = header.get(f"{name}.attention.causal", bool, True)
    return {**architecture.constants, **config, "vocab_size": len(header.get("tokenizer.ggml.tokens", list))}


def transformers_tensors(header: Header) -> dict[str, GgufTensor]:
    """The tensors of a file by the names that transformers has for them. Others, such as an output table, are left out.

    The errors are those of :func:`get_architecture`.
    """
    _, architecture = get_architecture(header)
    found = {}
    for name, tensor in header.tensors.items():
        part, _, ending = name.rpartition(".")
        prefix = ""
        if part.startswith("blk."):
            _, number, part = part.split(".", 2) if part.count(".") > 1 else ("", "", "")
            prefix = architecture.layer.format(number)
        if part in architecture.names:
            found[f"{prefix}{architecture.names[part]}.{ending}"] = tensor
    return found
