"""Tiny models with random weights, written as sentence-transformers lays out a model: whole, and easy to break."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HIDDEN, LAYERS, HEADS, INNER, POSITIONS, MAX_TOKENS = 16, 2, 4, 32, 40, 24
WORDS = ["the", "cat", "dog", "sat", "on", "mat", "##ing", "query", "passage", ":", ",", ".", "!", "?"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]

_BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
_MPNET = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "[UNK]"}


def write_model(
    folder: Path,
    family: str = "bert",
    *,
    seed: int = 0,
    modules: list[str] | None = None,
    pooling: Mapping[str, Any] | None = None,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    dense: tuple[int, str] | None = None,
) -> Path:
    """Write a tiny model of ``family`` ("bert" or "mpnet") to ``folder``, and return the folder.

    Args:
        modules: kinds after Transformer; default Pooling, Normalize. "Dense" and "LayerNorm" get random weights.
        pooling: the content of 1_Pooling/config.json beside the size.
        dense: the output size and the activation (a class of torch.nn.modules) of "Dense".
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(family)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size()
    write_json(folder / "config.json", config(family, vocabulary))
    special = _BERT if family == "bert" else _MPNET
    tokenizer_class = "BertTokenizer" if family == "bert" else "MPNetTokenizer"
    tokens = {f"{name}_token": token for name, token in special.items()}
    write_json(
        folder / "tokenizer_config.json", {"tokenizer_class": tokenizer_class, "model_max_length": 512, **tokens}
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": dict(prompts or {}), "default_prompt_name": default_prompt_name},
    )
    save_file(tensors(family, vocabulary, rng), folder / "model.safetensors")
    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    size = HIDDEN
    for number, kind in enumerate(modules if modules is not None else ["Pooling", "Normalize"], start=1):
        path = f"{number}_{kind}"
        entries.append(
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        )
        (folder / path).mkdir(exist_ok=True)
        if kind == "Pooling":
            write_json(folder / path / "config.json", {"word_embedding_dimension": HIDDEN, **(pooling or {})})
            modes = [key for key, on in (pooling or {}).items() if key.startswith("pooling_mode_") and on]
            size *= max(1, len(modes))
        if kind == "Dense":
            out, activation = dense or (8, "activation.Tanh")
            settings = {"in_features": size, "out_features": out, "bias": True}
            activation_function = f"torch.nn.modules.{activation}"
            write_json(folder / path / "config.json", {**settings, "activation_function": activation_function})
            weights = {"linear.weight": _normal(rng, out, size), "linear.bias": _normal(rng, out)}
            save_file(weights, folder / path / "model.safetensors")
            size = out
        if kind == "LayerNorm":
            write_json(folder / path / "config.json", {"dimension": size})
            save_file(
                {"norm.weight": _normal(rng, size), "norm.bias": _normal(rng, size)},
                folder / path / "model.safetensors",
            )
    write_json(folder / "modules.json", entries)
    return folder


def config(family: str, vocabulary: int) -> dict[str, Any]:
    """The config.json of a tiny model."""
    common = {
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "vocab_size": vocabulary,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "model_type": family,
    }
    if family == "bert":
        return {**common, "architectures": ["BertModel"], "type_vocab_size": 2, "pad_token_id": 0}
    return {**common, "architectures": ["MPNetModel"], "relative_attention_num_buckets": 32, "pad_token_id": 1}


def tensors(family: str, vocabulary: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights by the names that transformers gives them."""
    arrays = {
        "embeddings.word_embeddings.weight": _normal(rng, vocabulary, HIDDEN),
        "embeddings.position_embeddings.weight": _normal(rng, POSITIONS, HIDDEN),
    }
    if family == "bert":
        arrays["embeddings.token_type_embeddings.weight"] = _normal(rng, 2, HIDDEN)
        query, key, value, out, norm = (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "attention.output.LayerNorm",
        )
    else:
        arrays["encoder.relative_attention_bias.weight"] = _normal(rng, 32, HEADS)
        query, key, value, out, norm = (*(f"attention.attn.{part}" for part in "qkvo"), "attention.LayerNorm")
    linears = {query: (HIDDEN, HIDDEN), key: (HIDDEN, HIDDEN), value: (HIDDEN, HIDDEN), out: (HIDDEN, HIDDEN)}
    linears |= {"intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}."
        for name, shape in linears.items():
            arrays[f"{start}{name}.weight"] = _normal(rng, *shape)
            arrays[f"{start}{name}.bias"] = _normal(rng, shape[0])
        norms += [f"{start}{norm}", f"{start}output.LayerNorm"]
    for name in norms:
        arrays[f"{name}.weight"] = 1 + _normal(rng, HIDDEN)
        arrays[f"{name}.bias"] = _normal(rng, HIDDEN)
    return arrays


def make_tokenizer(family: str) -> Tokenizer:
    """A WordPiece tokenizer that carries, as the real ones do, a training run's truncation and padding."""
    special = _BERT if family == "bert" else _MPNET
    vocabulary = {token: number for number, token in enumerate([*special.values(), *LETTERS, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = ((special[name], vocabulary[special[name]]) for name in ("cls", "sep"))
    if family == "bert":
        tokenizer.post_processor = processors.BertProcessing(sep, cls)
    else:
        tokenizer.post_processor = processors.RobertaProcessing(sep, cls)
    tokenizer.add_special_tokens(list(special.values()))
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_id=vocabulary[special["pad"]], pad_token=special["pad"])
    return tokenizer


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON object in a file; None removes a key."""
    values = json.loads(path.read_text()) | changes
    write_json(path, {key: value for key, value in values.items() if value is not None})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (0.3 * rng.standard_normal(shape)).astype(np.float32)
