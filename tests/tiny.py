"""Writes tiny models with random weights, in the layout of sentence-transformers.

The models are complete, so tests can use them like real ones, or break one of their files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.tiny_families import (
    FAMILIES,
    HEADS_OF_FAMILIES,
    HIDDEN,
    MAX_TOKENS,
    VOCABULARY_HEADS,
    config,
    make_tokenizer,
    normal,
    scoring_tensors,
    tensors,
    vocabulary_tensors,
)

TEXTS = ["", "the", "the cat", "the cat sat on the mat", "A dog, a cat!", "<s> [SEP] </s> <pad> [PAD]", "cat " * 20]
TEXTS += ["cat " * count for count in (MAX_TOKENS - 3, MAX_TOKENS - 2, MAX_TOKENS - 1, 90)]
"""Texts of various lengths. Some are short. The last four have one token less than a tiny model reads, exactly as many,
one more, and many more."""
_LONG = "the cat sat on the mat , "
PAIRS = [
    ("the cat", "a dog sat"),
    ("", ""),
    ("the cat", ""),
    ("", "a dog"),
    ("the same", "the same"),
    ("[SEP] </s>", "<s> [CLS] <pad> [PAD]"),
    *((_LONG * a, _LONG * b) for a in (0, 1, 2, 5, 90) for b in (0, 1, 2, 5, 90)),
    ("Ῥόδος 😀", "שפן אכל קצת גזר"),
]
"""Pairs of texts: short, empty, equal, far over the limit on either side or on both, with other scripts."""


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
    residual: bool = False,
) -> Path:
    """Write a tiny model to ``folder``, and return the folder.

    Args:
        folder: where to write it.
        family: a key of ``FAMILIES``.
        seed: for the random weights.
        modules: the modules after Transformer; by default Pooling and Normalize. "Dense" and "LayerNorm" get random
            weights.
        pooling: the content of 1_Pooling/config.json, except the size.
        prompts: the model's prompts.
        default_prompt_name: the name of its default prompt.
        dense: the output size of "Dense", and its activation (a class in torch.nn.modules).
        residual: True if "Dense" adds its input.
    """
    rng = np.random.RandomState(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(family)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size()
    write_json(folder / "config.json", config(family, vocabulary))
    tokens = {f"{name}_token": token for name, token in FAMILIES[family].specials.items()}
    tokenizer_class = FAMILIES[family].tokenizer_class
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
            settings = {"in_features": size, "out_features": out, "bias": True, "use_residual": residual}
            activation_function = f"torch.nn.modules.{activation}"
            write_json(folder / path / "config.json", {**settings, "activation_function": activation_function})
            weights = {"linear.weight": normal(rng, out, size), "linear.bias": normal(rng, out)}
            if residual and out != size:
                weights["residual.weight"] = normal(rng, out, size)
            save_file(weights, folder / path / "model.safetensors")
            size = out
        if kind == "LayerNorm":
            write_json(folder / path / "config.json", {"dimension": size})
            save_file(
                {"norm.weight": normal(rng, size), "norm.bias": normal(rng, size)},
                folder / path / "model.safetensors",
            )
    write_json(folder / "modules.json", entries)
    return folder


def write_scoring_model(
    folder: Path, family: str = "bert", labels: int = 1, *, seed: int = 0, max_tokens: int = MAX_TOKENS, **settings: Any
) -> Path:
    """Write a tiny model with a head, as transformers' ``…ForSequenceClassification`` saves it. Returns the folder.

    Args:
        folder: where to write it.
        family: a key of ``FAMILIES``.
        labels: the number of labels.
        seed: for the random weights.
        max_tokens: the most tokens of a pair.
        settings: more keys of config.json.
    """
    write_model(folder, family, modules=[])
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    names = {str(number): f"label {number}" for number in range(labels)}
    architecture = {"architectures": [HEADS_OF_FAMILIES[family].architecture], "id2label": names}
    edit_json(folder / "config.json", **architecture, label2id={name: int(n) for n, name in names.items()}, **settings)
    edit_json(folder / "tokenizer_config.json", model_max_length=max_tokens)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    weights = scoring_tensors(family, vocabulary, labels, np.random.RandomState(seed))
    save_file(weights, folder / "model.safetensors")
    return folder


def write_splade_model(
    folder: Path, family: str = "bert", *, seed: int = 0, prompts: Mapping[str, str] | None = None, **splade: Any
) -> Path:
    """Write a tiny SPLADE model, as sentence-transformers saves it. Returns the folder.

    Args:
        folder: where to write it.
        family: a key of ``VOCABULARY_HEADS``.
        seed: for the random weights.
        prompts: the model's prompts.
        splade: the content of SpladePooling's config.json.
    """
    write_model(folder, family, modules=["SpladePooling"], prompts=prompts)
    kinds = ("base.modules.transformer.Transformer", "sparse_encoder.modules.splade_pooling.SpladePooling")
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, ("", "1_SpladePooling"), strict=True))
    ]
    write_json(folder / "modules.json", entries)
    write_json(folder / "1_SpladePooling" / "config.json", splade)
    edit_json(folder / "sentence_bert_config.json", transformer_task="fill-mask")
    edit_json(folder / "config_sentence_transformers.json", model_type="SparseEncoder")
    edit_json(folder / "config.json", architectures=[VOCABULARY_HEADS[family].architecture])
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    save_file(vocabulary_tensors(family, vocabulary, np.random.RandomState(seed)), folder / "model.safetensors")
    return folder


def write_inference_free_model(folder: Path, **splade: Any) -> Path:
    """Write a tiny model whose queries are read by a table of weights, and whose documents go through SPLADE.

    Its modules are inside a Router, as sentence-transformers saves them. Returns the folder.

    Args:
        folder: where to write it.
        splade: the content of SpladePooling's config.json.
    """
    document, pooling, query = "document_0_Transformer", "document_1_SpladePooling", "query_0_SparseStaticEmbedding"
    write_splade_model(folder / document, **splade)
    (folder / document / "1_SpladePooling").rename(folder / pooling)
    (folder / document / "modules.json").unlink()
    (folder / document / "config_sentence_transformers.json").rename(folder / "config_sentence_transformers.json")
    (folder / query).mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / document / name, folder / query / name)
    write_json(folder / query / "config.json", {"frozen": True})
    vocabulary = json.loads((folder / document / "config.json").read_text())["vocab_size"]
    weights = np.maximum(0, np.random.RandomState(1).standard_normal(vocabulary)).astype(np.float32)
    save_file({"weight": weights}, folder / query / "model.safetensors")
    package = "sentence_transformers"
    router = {
        "types": {
            query: f"{package}.sparse_encoder.modules.sparse_static_embedding.SparseStaticEmbedding",
            document: f"{package}.base.modules.transformer.Transformer",
            pooling: f"{package}.sparse_encoder.modules.splade_pooling.SpladePooling",
        },
        "structure": {"query": [query], "document": [document, pooling]},
        "parameters": {"default_route": "document", "allow_empty_key": True, "route_mappings": {}},
    }
    write_json(folder / "router_config.json", router)
    kind = f"{package}.base.modules.router.Router"
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": kind}])
    return folder


def write_asymmetric_model(folder: Path) -> Path:
    """Write a tiny model with an encoder for queries and another for documents, inside a Router. Returns the folder."""
    structure = {}
    for seed, route in enumerate(("query", "document")):
        write_model(folder / f"{route}_0_Transformer", seed=seed, modules=["Pooling"])
        (folder / f"{route}_0_Transformer" / "1_Pooling").rename(folder / f"{route}_1_Pooling")
        structure[route] = [f"{route}_0_Transformer", f"{route}_1_Pooling"]
    kinds = {"0_Transformer": "Transformer", "1_Pooling": "Pooling"}
    package = "sentence_transformers.models"
    types = {f"{route}_{name}": f"{package}.{kind}" for route in structure for name, kind in kinds.items()}
    parameters = {"default_route": "document", "allow_empty_key": True}
    write_json(folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})
    kind = "sentence_transformers.models.Router"
    write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": kind}])
    return folder


def store_as(folder: Path, dtype: str) -> None:
    """Rewrite a model's weights as "float16" or "bfloat16". Numbers are rounded towards zero to bfloat16."""
    path = folder / "model.safetensors"
    if dtype == "float16":
        save_file({name: array.astype(np.float16) for name, array in load_file(path).items()}, path)
    else:
        write_bfloat16(path, {name: array.view(np.uint32) >> 16 for name, array in load_file(path).items()})


def write_bfloat16(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a safetensors file of bfloat16, which NumPy does not have, from whole numbers: the bits of each number."""
    header, end = {}, 0
    for name, bits in tensors.items():
        header[name] = {"dtype": "BF16", "shape": bits.shape, "data_offsets": [end, end + 2 * bits.size]}
        end += 2 * bits.size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)  # So that the numbers are aligned, as the library does it.
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.writelines(bits.astype("<u2").tobytes() for bits in tensors.values())


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON object in a file. None removes a key."""
    values = json.loads(path.read_text()) | changes
    write_json(path, {key: value for key, value in values.items() if value is not None})


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(value))
