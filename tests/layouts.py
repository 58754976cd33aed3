"""Popular models on the Hub: how their files are laid out, and how to write folders with such files.

For each model, ``tests/data/layouts`` has the content of its JSON files, the names of its tensors, and the results to
expect. It does not have the tensors' numbers. A folder is written either at full size, with zeros that take no disk
space, or at a small size, with random numbers.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, normalizers, processors

from tests import tiny_families

LAYOUTS: dict[str, dict[str, Any]] = {
    path.stem.replace("__", "/"): json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "data" / "layouts").glob("*.json"))
}

# The keys of config.json for each size, and the sizes of a small model.
_SIZES = {
    "vocab": ("vocab_size",),
    "hidden": ("hidden_size", "dim", "n_embd"),
    "inner": ("intermediate_size", "hidden_dim", "n_inner"),
    "layers": ("num_hidden_layers", "n_layers", "n_layer"),
    "heads": ("num_attention_heads", "n_heads", "n_head"),
    "positions": ("max_position_embeddings",),
    "types": ("type_vocab_size",),
    "buckets": ("relative_attention_num_buckets",),
}
_HIDDEN = 32
_SMALL = {
    **dict.fromkeys(_SIZES["hidden"], _HIDDEN),
    **dict.fromkeys(_SIZES["inner"], 48),
    **dict.fromkeys(_SIZES["layers"], 4),  # In ModernBERT, the first and the last of four see the whole text.
    **dict.fromkeys(_SIZES["heads"], 4),
    "head_dim": _HIDDEN // 4,
    "local_attention": 8,
    "word_embedding_dimension": _HIDDEN,
    "in_features": _HIDDEN,
    "out_features": _HIDDEN,
}

# The names of the tensors, with * for a layer's number, and their shapes. ".weight" is added to each name. "+bias" adds
# a second tensor, with ".bias" in its name and the first size as its shape. If a shape ends with a type, such as I64,
# nothing is added to the name.
_BERT = {
    "embeddings.word_embeddings": "vocab hidden",
    "embeddings.position_embeddings": "positions hidden",
    "embeddings.token_type_embeddings": "types hidden",
    "embeddings.LayerNorm": "hidden +bias",
    "encoder.layer.*.attention.self.query": "hidden hidden +bias",
    "encoder.layer.*.attention.self.key": "hidden hidden +bias",
    "encoder.layer.*.attention.self.value": "hidden hidden +bias",
    "encoder.layer.*.attention.output.dense": "hidden hidden +bias",
    "encoder.layer.*.attention.output.LayerNorm": "hidden +bias",
    "encoder.layer.*.intermediate.dense": "inner hidden +bias",
    "encoder.layer.*.output.dense": "hidden inner +bias",
    "encoder.layer.*.output.LayerNorm": "hidden +bias",
}
_TENSORS = {
    "bert": _BERT,
    "mpnet": {
        **{name: shape for name, shape in _BERT.items() if "attention" not in name and "token_type" not in name},
        **{f"encoder.layer.*.attention.attn.{part}": "hidden hidden +bias" for part in "qkvo"},
        "encoder.layer.*.attention.LayerNorm": "hidden +bias",
        "encoder.relative_attention_bias": "buckets heads",
    },
    "distilbert": {
        "embeddings.word_embeddings": "vocab hidden",
        "embeddings.position_embeddings": "positions hidden",
        "embeddings.LayerNorm": "hidden +bias",
        **{f"transformer.layer.*.attention.{part}_lin": "hidden hidden +bias" for part in ("q", "k", "v", "out")},
        "transformer.layer.*.sa_layer_norm": "hidden +bias",
        "transformer.layer.*.ffn.lin1": "inner hidden +bias",
        "transformer.layer.*.ffn.lin2": "hidden inner +bias",
        "transformer.layer.*.output_layer_norm": "hidden +bias",
    },
    "modernbert": {
        "embeddings.tok_embeddings": "vocab hidden",
        "embeddings.norm": "hidden",
        "layers.*.attn_norm": "hidden",
        "layers.*.attn.Wqkv": "3*hidden hidden",
        "layers.*.attn.Wo": "hidden hidden",
        "layers.*.mlp_norm": "hidden",
        "layers.*.mlp.Wi": "2*inner hidden",
        "layers.*.mlp.Wo": "hidden inner",
        "final_norm": "hidden",
    },
    "nomic": {
        "embeddings.word_embeddings": "vocab hidden",
        "embeddings.token_type_embeddings": "types hidden",
        "emb_ln": "hidden +bias",
        "encoder.layers.*.attn.Wqkv": "3*hidden hidden",
        "encoder.layers.*.attn.out_proj": "hidden hidden",
        "encoder.layers.*.norm1": "hidden +bias",
        "encoder.layers.*.mlp.fc11": "inner hidden",
        "encoder.layers.*.mlp.fc12": "inner hidden",
        "encoder.layers.*.mlp.fc2": "hidden inner",
        "encoder.layers.*.norm2": "hidden +bias",
    },
}
_ABSENT = ("layers.0.attn_norm",)  # ModernBERT has no norm here, because its embeddings are normalized already.
# The special tokens whose ids in ModernBERT's config.json are beyond a small vocabulary.
_SPECIAL_TOKENS = {"bos": "[CLS]", "cls": "[CLS]", "eos": "[SEP]", "sep": "[SEP]", "pad": "[PAD]"}
_BYTES = {"F32": 4, "F16": 2, "I64": 8}
_Tensors = dict[str, tuple[str, tuple[int, ...]]]


def write(folder: Path, layout: dict[str, Any], *, shrink: bool) -> Path:
    """Write a model to ``folder``, and return the folder.

    Its tokenizer is of the right kind, with a few hundred tokens at most.

    Args:
        layout: one of ``LAYOUTS``.
        shrink: if True, the sizes in the JSON files become small, and the tensors get random numbers. Otherwise the
            JSON files stay as they are, and model.safetensors has its real length and holds zeros, as a sparse file
            that takes no disk space.
    """
    tokenizer = _tokenizer(layout)
    files = layout["files"]
    if shrink:
        files = {name: _shrink(values, tokenizer) for name, values in files.items()}
    for name, values in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2), encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, config in files.items():
        if name == "config.json" or name.endswith("_Dense/config.json"):
            tensors = _tensors(layout, config) if name == "config.json" else _dense(config)
            (_write_random if shrink else _write_zeros)((folder / name).parent / "model.safetensors", tensors)
    return folder


def _shrink(values: Any, tokenizer: Tokenizer) -> Any:
    """The values of a JSON file, with the sizes of a small model."""
    if not isinstance(values, dict):
        return values
    small = values | {key: _SMALL[key] for key in values.keys() & _SMALL.keys()}
    vocabulary = tokenizer.get_vocab()
    if "vocab_size" in values:
        small["vocab_size"] = len(vocabulary)
        ids = {f"{kind}_token_id": vocabulary.get(token) for kind, token in _SPECIAL_TOKENS.items()}
        small |= {key: ids[key] for key in values.keys() & ids.keys() if (values[key] or 0) >= len(vocabulary)}
    if "added_tokens_decoder" in values:
        tokens = values["added_tokens_decoder"].values()
        small["added_tokens_decoder"] = {str(vocabulary[token["content"]]): token for token in tokens}
    return small


def _tokenizer(layout: dict[str, Any]) -> Tokenizer:
    """A small tokenizer with the model's special tokens."""
    config = layout["files"]["tokenizer_config.json"]
    tokens = {kind: config[f"{kind}_token"] for kind in ("cls", "pad", "sep", "unk", "mask")}
    specials = {kind: token["content"] if isinstance(token, dict) else token for kind, token in tokens.items()}
    if specials["pad"] == "[PAD]":
        specials = {"pad": "[PAD]", **specials}  # The padding token has id 0 in BERT and id 1 in fairseq.
    make = {"wordpiece": tiny_families.word_piece, "unigram": tiny_families.unigram, "bpe": tiny_families.byte_level}
    tokenizer = make[layout["tokenizer"]](specials)
    if layout["tokenizer"] == "wordpiece":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=config["do_lower_case"])
    ends = [(specials[kind], tokenizer.token_to_id(specials[kind])) for kind in ("cls", "sep")]
    tokenizer.post_processor = processors.TemplateProcessing(f"{specials['cls']} $A {specials['sep']}", None, ends)
    tokenizer.add_special_tokens(list(specials.values()))
    return tokenizer


def _tensors(layout: dict[str, Any], config: dict[str, Any]) -> _Tensors:
    """The type and shape of each of the encoder's tensors, by name."""
    sizes = {word: next((config[key] for key in keys if key in config), None) for word, keys in _SIZES.items()}
    tensors: _Tensors = {}
    dtype = layout["tensors"]["dtype"]
    for pattern, words in (_TENSORS[layout["tensors"]["naming"]] | layout["tensors"]["extra"]).items():
        plain, _, bias = words.partition(" +")
        shape = tuple(_size(word, sizes) for word in plain.removesuffix(" I64").split())
        for name in dict.fromkeys(pattern.replace("*", str(number)) for number in range(sizes["layers"])):
            if plain.endswith(" I64"):
                tensors[name] = ("I64", shape)
            elif name not in _ABSENT:
                tensors[f"{name}.weight"] = (dtype, shape)
                if bias:
                    tensors[f"{name}.bias"] = (dtype, shape[:1])
    return tensors


def _size(word: str, sizes: dict[str, int]) -> int:
    """A size: ``hidden``, ``3*hidden``, or a number."""
    times, _, name = word.rpartition("*")
    return int(times or 1) * (int(name) if name.isdigit() else sizes[name])


def _dense(config: dict[str, Any]) -> _Tensors:
    """The type and shape of each tensor of a Dense module, by name."""
    in_features, out_features = config["in_features"], config["out_features"]
    return {"linear.weight": ("F32", (out_features, in_features)), "linear.bias": ("F32", (out_features,))}


def _write_zeros(path: Path, tensors: _Tensors) -> None:
    """Write a safetensors file of zeros. As in the library, its header lists long types first, then sorts by name."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in sorted(tensors.items(), key=lambda item: (-_BYTES[item[1][0]], item[0])):
        start, end = end, end + _BYTES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def _write_random(path: Path, tensors: _Tensors) -> None:
    """Write a safetensors file of random float32 numbers: about 1 for the weights of norms, about 0 for all others."""
    rng = np.random.RandomState(0)
    arrays = {}
    for name, (dtype, shape) in tensors.items():
        if dtype == "I64":
            arrays[name] = np.arange(shape[1])[None]
        else:
            mean, deviation = (0.0, 0.2) if len(shape) > 1 else (float(name.endswith(".weight")), 0.1)
            arrays[name] = (mean + deviation * rng.standard_normal(shape)).astype(np.float32)
    save_file(arrays, path)
