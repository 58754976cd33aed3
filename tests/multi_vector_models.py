"""Writes tiny models of late interaction with random weights, in the three layouts that their files have."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests import tiny
from tests.tiny_families import HIDDEN, normal

WIDTH = 6
"""The length of a token's vector."""
FIXED = {"strategy": "fixed", "attend": False, "length": 12}
"""Query expansion as in ColBERT: up to 12 tokens, which the query's own tokens do not look at."""
_MODULES = "sentence_transformers.base.modules"
_MASK = "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
_POOLING = "sentence_transformers.multi_vector_encoder.modules.token_pooling.HierarchicalTokenPooling"
TEXTS = [*tiny.TEXTS, "the cat, the dog: sat! on? the mat.", ", . !", "[Q] the [D] cat [unused0]"]
"""Texts of various lengths, with punctuation, and one that is nothing but punctuation."""


def write_model(
    folder: Path,
    family: str = "bert",
    *,
    seed: int = 0,
    expansion: Mapping[str, Any] | None = None,
    skipped: tuple[str, ...] = tuple(string.punctuation),
    mask: Mapping[str, Any] | None = None,
    dense: tuple[int, ...] = (WIDTH,),
    pooling: Mapping[str, Any] | None = None,
    normalize: bool = True,
    prompts: Mapping[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Write a model as sentence-transformers 6 saves it, and return its folder.

    Args:
        folder: where to write it.
        family: a key of ``tiny_families.FAMILIES``.
        seed: for the random weights.
        expansion: ``query_expansion``.
        skipped: ``skiplist_words``.
        mask: more keys of the mask's config; "left out" for a model without a mask.
        dense: the sizes of the linear layers. The last one has no bias; the others have one, and add their input.
        pooling: the config of HierarchicalTokenPooling, if the model has it.
        normalize: True if the vectors have length 1.
        prompts: the model's prompts.
        settings: more keys of ``sentence_bert_config.json``.
    """
    tiny.write_model(folder, family, seed=seed, modules=[], prompts={"query": "", "document": "", **(prompts or {})})
    rng = np.random.RandomState(seed + 1)
    entries = [_entry(0, "", f"{_MODULES}.transformer.Transformer")]
    for number, (size, out) in enumerate(zip((HIDDEN, *dense), dense, strict=False), start=1):
        is_last = number == len(dense)
        _write_dense(folder / f"{number}_Dense", rng, size, out, is_last=is_last)
        entries.append(_entry(number, f"{number}_Dense", f"{_MODULES}.dense.Dense"))
    if mask is None or "left out" not in mask:
        entries.append(_entry(len(entries), path := f"{len(entries)}_MultiVectorMask", _MASK))
        words = {"skiplist_words": list(skipped), "skiplist_tasks": ["document"], "keep_only_token_ids": None}
        _write_config(folder / path, words | dict(mask or {}))
    if normalize:
        entries.append(_entry(len(entries), path := f"{len(entries)}_Normalize", f"{_MODULES}.normalize.Normalize"))
        _write_config(
            folder / path, {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
        )
    if pooling is not None:
        entries.append(_entry(len(entries), path := f"{len(entries)}_HierarchicalTokenPooling", _POOLING))
        _write_config(folder / path, dict(pooling))
    tiny.write_json(folder / "modules.json", entries)
    tiny.edit_json(folder / "sentence_bert_config.json", query_expansion=expansion, **settings)
    tiny.edit_json(
        folder / "config_sentence_transformers.json", model_type="MultiVectorEncoder", similarity_fn_name="maxsim"
    )
    return folder


def write_routed(folder: Path) -> Path:
    """Write a model with an encoder for queries and another for documents, inside a Router. Returns its folder."""
    write_model(folder)
    routes = {route: f"{route}_0_Transformer" for route in ("query", "document")}
    for seed, name in enumerate(routes.values()):
        tiny.write_model(folder / name, seed=seed, modules=[])
        (folder / name / "modules.json").unlink()
    router = {
        "types": dict.fromkeys(routes.values(), f"{_MODULES}.transformer.Transformer"),
        "structure": {route: [name] for route, name in routes.items()},
        "parameters": {"default_route": "document", "allow_empty_key": True},
    }
    tiny.write_json(folder / "router_config.json", router)
    _, *later = json.loads((folder / "modules.json").read_text())
    tiny.write_json(folder / "modules.json", [_entry(0, "", f"{_MODULES}.router.Router"), *later])
    return folder


def write_pylate(folder: Path, family: str = "bert", *, kind: str | None = "ColBERT", **settings: Any) -> Path:
    """Write a model as PyLate saves it. ``settings`` are those of ``config_sentence_transformers.json``."""
    tiny.write_model(folder, family, modules=[])
    _write_dense(folder / "1_Dense", np.random.RandomState(1), HIDDEN, WIDTH, is_last=True, is_pylate=True)
    entries = [
        _entry(0, "", "sentence_transformers.models.Transformer"),
        _entry(1, "1_Dense", "pylate.models.Dense.Dense"),
    ]
    tiny.write_json(folder / "modules.json", entries)
    usual = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 12, "document_length": 20}
    usual |= {"attend_to_expansion_tokens": False, "do_query_expansion": True}
    kinds = {} if kind is None else {"model_type": kind}
    tiny.edit_json(folder / "config_sentence_transformers.json", **{**usual, **kinds, **settings})
    return folder


def write_stanford(folder: Path, family: str = "bert", **metadata: Any) -> Path:
    """Write a model as Stanford's ColBERT saves it. ``metadata`` are the values of ``artifact.metadata``."""
    tiny.write_model(folder, family, modules=[])
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    tiny.edit_json(folder / "config.json", architectures=["HF_ColBERT"])
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=tiny.MAX_TOKENS)
    weights = {f"bert.{name}": array for name, array in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = normal(np.random.RandomState(1), WIDTH, HIDDEN)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    usual = {
        "query_maxlen": 12,
        "doc_maxlen": 20,
        "dim": WIDTH,
        "mask_punctuation": True,
        "attend_to_mask_tokens": False,
    }
    tiny.write_json(folder / "artifact.metadata", usual | metadata)
    return folder


def add_tokens(folder: Path, *tokens: str) -> Path:
    """Give a model's vocabulary these tokens, by renaming some of its letters."""
    path = folder / "tokenizer.json"
    text = path.read_text()
    for letter, token in zip(("q", "x", "z"), tokens, strict=False):
        text = text.replace(f'"{letter}"', f'"{token}"')
    path.write_text(text)
    return folder


def _entry(number: int, path: str, kind: str) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": path, "type": kind}


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    tiny.write_json(folder / "config.json", dict(config))


def _write_dense(
    folder: Path, rng: np.random.RandomState, size: int, out: int, *, is_last: bool, is_pylate: bool = False
) -> None:
    activation = "torch.nn.modules.linear.Identity" if is_last else "torch.nn.modules.activation.GELU"
    config = {"in_features": size, "out_features": out, "bias": not is_last, "activation_function": activation}
    weights = {"linear.weight": normal(rng, out, size)}
    if not is_last:
        weights |= {"linear.bias": normal(rng, out), "residual.weight": normal(rng, out, size)}
    if not is_pylate:
        config |= {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    _write_config(folder, config | {"use_residual": not is_last and size != out} if not is_last else config)
    save_file(weights, folder / "model.safetensors")
