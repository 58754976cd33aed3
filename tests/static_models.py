"""Writes tiny static models with random tables, in the layouts of sentence-transformers and of model2vec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from tests.tiny_families import FAMILIES, make_tokenizer

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
        config: more keys of model2vec's config.json.
    """
    rng = np.random.default_rng(seed)
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer or make_tokenizer(family)
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
        (folder / "config_sentence_transformers.json").write_text("{}")
    return folder


def write_modules(folder: Path, subfolder: str = "", *, normalize: bool = True) -> None:
    """Write the modules.json of a static model."""
    kinds = [("StaticEmbedding", subfolder), *([("Normalize", "1_Normalize")] if normalize else [])]
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))


TOKENIZERS = tuple(FAMILIES)
