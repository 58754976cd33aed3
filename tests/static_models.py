"""Writes tiny static models with random tables, in the layouts of sentence-transformers and of model2vec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from tests.tiny_families import make_tokenizer

SIZE = 40
LAYOUTS = ("sentence-transformers", "model2vec")


def write_static(
    folder: Path,
    layout: str = "sentence-transformers",
    *,
    family: str = "bert",
    dtype: str = "float32",
    size: int = SIZE,
    shared: bool = False,
    weighted: bool = False,
    normalize: bool = True,
    seed: int = 0,
    truncation: int | None = None,
    subfolder: str = "",
    tokenizer: Tokenizer | None = None,
    **config: Any,
) -> Path:
    """Write a static model to ``folder``, and return the folder.

    Args:
        folder: where to write it.
        layout: one of ``LAYOUTS``. The second has no ``modules.json``; model2vec writes one since version 0.4.
        family: whose tokenizer to give it: a key of ``FAMILIES``.
        dtype: how the table is stored: "float32", "float16", "float64" or "int8".
        size: the length of a row.
        shared: True if tokens share rows, with a tensor "mapping".
        weighted: True if each token has a weight.
        normalize: True if vectors have unit length.
        seed: for the random table.
        truncation: the limit in tokenizer.json.
        subfolder: the folder of the first module.
        tokenizer: a tokenizer of your own.
        config: more keys of model2vec's config.json, or of config_sentence_transformers.json.
    """
    rng = np.random.default_rng(seed)
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer or make_tokenizer(family)
    tokenizer.no_truncation()
    if truncation is not None:
        tokenizer.enable_truncation(truncation)
    tokenizer.save(str(folder / subfolder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size(with_added_tokens=True)
    rows = rng.normal(size=(7 if shared else vocabulary, size))
    table = np.rint(rows * 30).clip(-127, 127).astype(np.int8) if dtype == "int8" else rows.astype(dtype)
    tensors = {"embedding.weight" if layout == LAYOUTS[0] else "embeddings": table}
    if shared:
        tensors["mapping"] = rng.integers(0, 7, size=vocabulary)
    if weighted:
        tensors["weights"] = rng.uniform(0.1, 2, size=vocabulary)
    save_file(tensors, folder / subfolder / "model.safetensors")
    if layout == "model2vec":
        settings = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": normalize, **config}
        (folder / "config.json").write_text(json.dumps({"hidden_dim": size, "seq_length": 1_000_000, **settings}))
    else:
        write_modules(folder, subfolder, normalize=normalize)
        (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


def write_modules(folder: Path, subfolder: str = "", *, normalize: bool = True) -> None:
    """Write the modules.json of a static model."""
    kinds = [("StaticEmbedding", subfolder), *([("Normalize", "1_Normalize")] if normalize else [])]
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))


def _many_words() -> str:
    rng = np.random.default_rng(3)
    return " ".join(rng.choice(["the", "cat", "dog", "sat", "on", "mat", "query", "no", "snow"], size=1000))


TEXTS = [
    "",
    "the cat",
    "A dog, a cat!",
    "the cat sat on the mat ☃ snow",
    "☃",
    "Ж Ῥόδος 😀 the",
    "[SEP] the [CLS] <s> </s> [UNK] <unk>",
    "cat " * 60,
    _many_words(),
    f"{'x' * 2500} {_many_words()}",
]
"""Texts with tokens that a vocabulary lacks, with special tokens, and longer than 512 tokens or 512 words' letters."""

SENTENCE_TRANSFORMERS_CASES: dict[str, dict[str, Any]] = {
    "bert": {},
    "bert, not normalized": {"normalize": False},
    "bert, cut": {"truncation": 6},
    "bert, in a folder": {"subfolder": "0_StaticEmbedding"},
    "bert, float16": {"dtype": "float16", "normalize": False},
    "bert, weights that mean nothing": {"weighted": True},
    "roberta": {"family": "roberta"},
    "xlm-roberta": {"family": "xlm-roberta"},
    "model2vec": {"layout": "model2vec"},
    "model2vec, shared and weighted": {"layout": "model2vec", "shared": True, "weighted": True},
    "model2vec, int8, shared and weighted": {"layout": "model2vec", "dtype": "int8", "shared": True, "weighted": True},
}
"""What sentence-transformers reads, by name. To the layout of model2vec, :func:`write_modules` adds modules.json."""
MODEL2VEC_CASES: dict[str, dict[str, Any]] = {
    "bert": {},
    "bert, not normalized": {"normalize": False},
    "bert, at most 7 tokens": {"max_length": 7},
    "bert, no limit": {"max_length": None},
    "bert, float16": {"dtype": "float16"},
    "bert, int8": {"dtype": "int8"},
    "bert, shared": {"shared": True},
    "bert, weighted": {"weighted": True},
    "bert, float16, shared and weighted": {"dtype": "float16", "shared": True, "weighted": True},
    "bert, int8, shared and weighted": {"dtype": "int8", "shared": True, "weighted": True},
    "roberta": {"family": "roberta"},
    "xlm-roberta": {"family": "xlm-roberta"},
}
"""What model2vec reads, by name. All of it is in its own layout, without modules.json."""


def write_sentence_transformers_case(folder: Path, name: str) -> Path:
    """Write one of ``SENTENCE_TRANSFORMERS_CASES``."""
    settings = SENTENCE_TRANSFORMERS_CASES[name]
    write_static(folder, **settings)
    if settings.get("layout") == "model2vec":
        write_modules(folder)
    return folder


def write_model2vec_case(folder: Path, name: str) -> Path:
    """Write one of ``MODEL2VEC_CASES``."""
    return write_static(folder, "model2vec", **MODEL2VEC_CASES[name])


def tolerance(name: str) -> float:
    """How far our vectors may be from theirs: the others round the result of a float16 table to float16."""
    return 1e-3 if "float16" in name else 1e-6
