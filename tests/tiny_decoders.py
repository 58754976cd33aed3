"""Tiny decoders that make embeddings, with random weights: what tests/tiny.py writes, for decoders.

The keys of config.json and the names of tensors are those that transformers writes, and the modules after the
transformer are those of well-known models. None of it comes from Pellucid, so the tests can find mistakes in Pellucid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.decoder_tokenizers import KINDS, make_tokenizer
from tests.tiny import write_json
from tests.tiny_families import normal

HIDDEN, LAYERS, HEADS, KV_HEADS, INNER, POSITIONS, MAX_TOKENS = 16, 3, 4, 2, 32, 96, 64
TEXTS = [
    "",
    "the",
    "the cat",
    "the cat sat on the mat",
    "A dog, a cat! 123",
    "Ünï 日本 👍  \n x",
    "<s> <bos> <|im_end|>",
]
TEXTS += ["cat " * count for count in (MAX_TOKENS // 2, MAX_TOKENS - 1, 90)]
"""Texts of various lengths. Some are cut."""

QUERY = "Instruct: Given a cat, find dogs\nQuery:"


@dataclass(frozen=True)
class Decoder:
    """A decoder that makes embeddings.

    Attributes:
        config: config.json, without what all tiny decoders have.
        tokenizer: a key of ``KINDS``.
        pooling: the flag of 1_Pooling/config.json that is true.
        dense: the sizes of the Dense modules after it, without biases and activations.
        prompts: its prompts.
        prefix: what the class that saved it puts before the tensors' names.
        max_seq_length: the limit in sentence_bert_config.json; None if there is no such file.
        tokenizer_config: keys of tokenizer_config.json.
    """

    config: Mapping[str, Any]
    tokenizer: str
    pooling: str = "lasttoken"
    dense: tuple[int, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    max_seq_length: int | None = MAX_TOKENS
    tokenizer_config: Mapping[str, Any] = field(default_factory=lambda: {"model_max_length": 512})


_ALL = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "rms_norm_eps": 1e-6,
    "pad_token_id": 1,
    "bos_token_id": 1,
    "eos_token_id": 1,
}

DECODERS = {
    "llama": Decoder(
        {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
        },
        "llama3",
        prefix="model.",
    ),
    "llama, biased and bidirectional": Decoder(
        {
            "model_type": "llama",
            "architectures": ["LlamaModel"],
            "attention_bias": True,
            "mlp_bias": True,
            "is_causal": False,
            "rope_theta": 500000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
        "llama",
        pooling="mean_tokens",
    ),
    "qwen2": Decoder(
        {
            "model_type": "qwen2",
            "architectures": ["Qwen2ForCausalLM"],
            "use_sliding_window": True,
            "sliding_window": 5,
            "max_window_layers": 1,
            "rope_theta": 1000000.0,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        },
        "qwen",
        prefix="model.",
        tokenizer_config={"model_max_length": 512, "truncation_side": "left", "padding_side": "left"},
    ),
    "qwen3": Decoder(
        {
            "model_type": "qwen3",
            "architectures": ["Qwen3ForCausalLM"],
            "head_dim": 6,
            "use_sliding_window": False,
            "sliding_window": None,
            "rope_theta": 1000000.0,
            "rope_scaling": None,
        },
        "qwen",
        prompts={"query": QUERY, "document": ""},
        tokenizer_config={"model_max_length": 512, "padding_side": "left"},
    ),
    "mistral": Decoder(
        {"model_type": "mistral", "architectures": ["MistralModel"], "sliding_window": 6, "rope_theta": 10000.0},
        "llama",
    ),
    "gemma3_text": Decoder(
        {
            "model_type": "gemma3_text",
            "architectures": ["Gemma3TextModel"],
            "head_dim": 6,
            "query_pre_attn_scalar": 10,
            "use_bidirectional_attention": True,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
        },
        "gemma",
        pooling="mean_tokens",
        dense=(40, HIDDEN),
        prompts={"query": "task: search result | query: ", "document": "title: none | text: "},
    ),
    "gemma3_text, causal": Decoder(
        {
            "model_type": "gemma3_text",
            "architectures": ["Gemma3ForCausalLM"],
            "head_dim": 6,
            "attention_bias": True,
            "query_pre_attn_scalar": 6,
            "sliding_window": 4,
            "sliding_window_pattern": 2,
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0},
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 300000.0},
            },
        },
        "gemma",
        prefix="model.",
    ),
    "eurobert": Decoder(
        {
            "model_type": "eurobert",
            "architectures": ["EuroBertModel"],
            "rms_norm_eps": 1e-5,
            "rope_theta": 250000.0,
        },
        "llama3",
        pooling="mean_tokens",
    ),
}
"""The tiny decoders, by the family and by what is special about them."""


def write_decoder(folder: Path, decoder: str | Decoder, *, seed: int = 0, **changes: Any) -> Path:
    """Write a decoder to ``folder``, in the layout of sentence-transformers. Returns the folder.

    Args:
        folder: where to write it.
        decoder: what to write, or a key of ``DECODERS``.
        seed: for the random weights.
        changes: keys of config.json that are different.
    """
    decoder, rng = DECODERS[decoder] if isinstance(decoder, str) else decoder, np.random.RandomState(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(decoder.tokenizer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"vocab_size": tokenizer.get_vocab_size(), **_ALL, **decoder.config, **changes}
    write_settings(folder, decoder, config)
    save_file(tensors(config, decoder.prefix, rng), folder / "model.safetensors")
    for path, settings in _dense_modules(decoder, config["hidden_size"]).items():
        weight = normal(rng, settings["out_features"], settings["in_features"])
        save_file({"linear.weight": weight}, folder / path / "model.safetensors")
    return folder


def write_settings(folder: Path, decoder: Decoder, config: Mapping[str, Any]) -> None:
    """Write all of a decoder's JSON files but the tokenizer itself."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer_config.json", {**KINDS[decoder.tokenizer].config, **decoder.tokenizer_config})
    if decoder.max_seq_length is not None:
        settings = {"max_seq_length": decoder.max_seq_length, "do_lower_case": False}
        write_json(folder / "sentence_bert_config.json", settings)
    write_json(folder / "config_sentence_transformers.json", {"prompts": dict(decoder.prompts)})
    pooling = {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": False}
    pooling |= {f"pooling_mode_{decoder.pooling}": True, "include_prompt": True}
    dense = _dense_modules(decoder, config["hidden_size"])
    modules = {"": None, "1_Pooling": pooling, **dense, f"{len(dense) + 2}_Normalize": None}
    for path, settings in modules.items():
        (folder / path).mkdir(exist_ok=True)
        if settings is not None:
            write_json(folder / path / "config.json", settings)
    kinds = [path.partition("_")[2] or "Transformer" for path in modules]
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(zip(modules, kinds, strict=True))
    ]
    write_json(folder / "modules.json", entries)


def tensors(config: Mapping[str, Any], prefix: str, rng: np.random.RandomState) -> dict[str, np.ndarray]:
    """Random weights for a config.json, under the names that files use."""
    family, hidden, inner = config["model_type"], config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    shapes = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    biased = [name for name in shapes if config.get("attention_bias" if name.startswith("self") else "mlp_bias")]
    if family == "qwen2":
        biased = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    norms = {"input_layernorm": hidden, "post_attention_layernorm": hidden}
    if family in ("qwen3", "gemma3_text"):
        norms |= {"self_attn.q_norm": size, "self_attn.k_norm": size}
    if family == "gemma3_text":
        norms |= {"pre_feedforward_layernorm": hidden, "post_feedforward_layernorm": hidden}
    centre = 0.0 if family == "gemma3_text" else 1.0  # Gemma's files store the weights of norms minus 1.
    arrays = {"embed_tokens.weight": normal(rng, config["vocab_size"], hidden)}
    for layer in range(config["num_hidden_layers"]):
        for name, shape in shapes.items():
            arrays[f"layers.{layer}.{name}.weight"] = normal(rng, *shape)
            if name in biased:
                arrays[f"layers.{layer}.{name}.bias"] = normal(rng, shape[0])
        for name, width in norms.items():
            arrays[f"layers.{layer}.{name}.weight"] = centre + normal(rng, width)
    arrays["norm.weight"] = centre + normal(rng, hidden)
    return {prefix + name: array.astype(np.float32) for name, array in arrays.items()}


def _dense_modules(decoder: Decoder, size: int) -> dict[str, dict[str, Any]]:
    """The config.json of each Dense module, by its folder."""
    modules = {}
    for number, out in enumerate(decoder.dense, start=2):
        identity = "torch.nn.modules.linear.Identity"
        settings = {"in_features": size, "out_features": out, "bias": False, "activation_function": identity}
        modules[f"{number}_Dense"] = settings
        size = out
    return modules
