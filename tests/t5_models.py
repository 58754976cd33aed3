"""Writes tiny T5 encoders with random weights, in the layout of sentence-t5: Transformer, Pooling, Dense, Normalize."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, processors

from tests import tiny
from tests.tiny_families import HIDDEN, INNER, LAYERS, MAX_TOKENS, normal, unigram

HEADS, HEAD_SIZE, DIMENSIONS = 4, 6, 8
SPECIALS = {"pad": "<pad>", "eos": "</s>", "unk": "<unk>"}
CONFIG: dict[str, Any] = {
    "model_type": "t5",
    "architectures": ["T5EncoderModel"],
    "d_model": HIDDEN,
    "d_kv": HEAD_SIZE,  # The heads together are wider than the hidden size.
    "d_ff": INNER,
    "num_layers": LAYERS,
    "num_heads": HEADS,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,  # Below the length of the longest texts.
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu",
    "pad_token_id": 0,
    "eos_token_id": 1,
}
FEED_FORWARDS = ("relu", "gated-gelu")
"""That of T5 and of T5 1.1."""


def write_model(
    folder: Path, feed_forward: str = "relu", *, seed: int = 0, tokenizer: Tokenizer | None = None, **settings: Any
) -> Path:
    """Write a tiny model to ``folder``, and return the folder.

    Args:
        folder: where to write it.
        feed_forward: ``feed_forward_proj`` of config.json.
        seed: for the random weights.
        tokenizer: by default, a small one.
        settings: more keys of config.json.
    """
    tiny.write_model(folder, modules=["Pooling", "Dense", "Normalize"], dense=(DIMENSIONS, "linear.Identity"))
    tokenizer = tokenizer or make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    tiny.write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "T5Tokenizer",
            "model_max_length": 512,
            "extra_ids": 0,
            "additional_special_tokens": [],
            **{f"{kind}_token": token for kind, token in SPECIALS.items()},
        },
    )
    vocabulary = tokenizer.get_vocab_size()
    config = CONFIG | {"vocab_size": vocabulary, "feed_forward_proj": feed_forward, **settings}
    tiny.write_json(folder / "config.json", config)
    rng = np.random.RandomState(seed)
    save_file(dict(tensors(config, rng)), folder / "model.safetensors")
    tiny.edit_json(folder / "2_Dense" / "config.json", bias=False)
    save_file({"linear.weight": normal(rng, DIMENSIONS, HIDDEN)}, folder / "2_Dense" / "model.safetensors")
    return folder


def make_tokenizer() -> Tokenizer:
    """A Unigram tokenizer that puts ``</s>`` after a text."""
    tokenizer = unigram(SPECIALS)
    end = ("</s>", tokenizer.token_to_id("</s>"))
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [end])
    tokenizer.add_special_tokens(list(SPECIALS.values()))
    tokenizer.enable_truncation(MAX_TOKENS // 3)
    tokenizer.enable_padding(length=MAX_TOKENS // 3, pad_id=0, pad_token="<pad>")
    return tokenizer


def tensors(config: dict[str, Any], rng: np.random.RandomState) -> Iterator[tuple[str, np.ndarray]]:
    """Random weights, under the names that files use."""
    heads = config["num_heads"] * config["d_kv"]
    yield "shared.weight", normal(rng, config["vocab_size"], HIDDEN)
    bias = normal(rng, config["relative_attention_num_buckets"], config["num_heads"])
    yield "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", 3 * bias
    inner = ("wi_0", "wi_1") if config["feed_forward_proj"].startswith("gated-") else ("wi",)
    shapes = {
        **{f"0.SelfAttention.{part}": (heads, HIDDEN) for part in "qkv"},
        "0.SelfAttention.o": (HIDDEN, heads),
        **{f"1.DenseReluDense.{part}": (INNER, HIDDEN) for part in inner},
        "1.DenseReluDense.wo": (HIDDEN, INNER),
    }
    for layer in range(config["num_layers"]):
        for name, shape in shapes.items():
            yield f"encoder.block.{layer}.layer.{name}.weight", normal(rng, *shape)
        for part in (0, 1):
            yield f"encoder.block.{layer}.layer.{part}.layer_norm.weight", 1 + normal(rng, HIDDEN)
    yield "encoder.final_layer_norm.weight", 1 + normal(rng, HIDDEN)
