"""Well-known models of the Hub, as their files are laid out there, and folders with such files.

``tests/data/layouts`` has what each model's JSON files say, how its tensors are called, and what is to come of it. The
numbers of the tensors are not there: a folder gets zeros that take no room, or is shrunken and gets random ones.
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

# The keys of config.json that say a size, and what a shrunken model has there.
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
    **dict.fromkeys(_SIZES["layers"], 4),  # of ModernBERT's, the first and the last see the whole text
    **dict.fromkeys(_SIZES["heads"], 4),
    "head_dim": _HIDDEN // 4,
    "local_attention": 8,
    "word_embedding_dimension": _HIDDEN,
    "in_features": _HIDDEN,
    "out_features": _HIDDEN,
}

# What the tensors are called, with * for a layer's number, and their shapes. ".weight" is added to each name; a ".bias"
# of the first size goes with "+bias". Names with a type of their own are whole.
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
_ABSENT = ("layers.0.attn_norm",)  # ModernBERT's embeddings are normalised already.
# The tokens that ModernBERT's config.json has by ids beyond a small vocabulary.
_ENDS = {"bos": "[CLS]", "cls": "[CLS]", "eos": "[SEP]", "sep": "[SEP]", "pad": "[PAD]"}
_BYTES = {"F32": 4, "F16": 2, "I64": 8}
_Tensors = dict[str, tuple[str, tuple[int, ...]]]


def write(folder: Path, layout: dict[str, Any], *, shrink: bool) -> Path:
    """Write a model to ``folder``, and return the folder.

    Its tokenizer is of the right kind, with a few hundred tokens at most.

    Args:
        layout: one of ``LAYOUTS``.
        shrink: whether to change the sizes in the JSON files to small ones, and give the tensors random numbers.
            Otherwise the files are as they are, and model.safetensors is as long as it is and holds zeros, as a sparse
            file that takes no room.
    """
    tokenizer = _tokenizer(layout)
    files = layout["files"]
    if shrink:
        files = {name: _shrunken(values, tokenizer) for name, values in files.items()}
    for name, values in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2), encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, config in files.items():
        if name == "config.json" or name.endswith("_Dense/config.json"):
            tensors = _tensors(layout, config) if name == "config.json" else _dense(config)
            (_write_random if shrink else _write_zeros)((folder / name).parent / "model.safetensors", tensors)
    return folder


def _shrunken(values: Any, tokenizer: Tokenizer) -> Any:
    """What a JSON file would say if its model were small."""
    if not isinstance(values, dict):
        return values
    small = values | {key: _SMALL[key] for key in values.keys() & _SMALL.keys()}
    vocabulary = tokenizer.get_vocab()
    if "vocab_size" in values:
        small["vocab_size"] = len(vocabulary)
        ends = {f"{kind}_token_id": vocabulary.get(token) for kind, token in _ENDS.items()}
        small |= {key: ends[key] for key in values.keys() & ends.keys() if (values[key] or 0) >= len(vocabulary)}
    if "added_tokens_decoder" in values:
        tokens = values["added_tokens_decoder"].values()
        small["added_tokens_decoder"] = {str(vocabulary[token["content"]]): token for token in tokens}
    return small


def _tokenizer(layout: dict[str, Any]) -> Tokenizer:
    """A small tokenizer with the model's special tokens."""
    config = layout["files"]["tokenizer_config.json"]
    named = {kind: config[f"{kind}_token"] for kind in ("cls", "pad", "sep", "unk", "mask")}
    specials = {kind: token["content"] if isinstance(token, dict) else token for kind, token in named.items()}
    if specials["pad"] == "[PAD]":
        specials = {"pad": "[PAD]", **specials}  # BERT's padding has the id 0, fairseq's the id 1.
    make = {"wordpiece": tiny_families.word_piece, "unigram": tiny_families.unigram, "bpe": tiny_families.byte_level}
    tokenizer = make[layout["tokenizer"]](specials)
    if layout["tokenizer"] == "wordpiece":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=config["do_lower_case"])
    ends = [(specials[kind], tokenizer.token_to_id(specials[kind])) for kind in ("cls", "sep")]
    tokenizer.post_processor = processors.TemplateProcessing(f"{specials['cls']} $A {specials['sep']}", None, ends)
    tokenizer.add_special_tokens(list(specials.values()))
    return tokenizer


def _tensors(layout: dict[str, Any], config: dict[str, Any]) -> _Tensors:
    """The encoder's tensors: their types and shapes by their names."""
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
    into, out = config["in_features"], config["out_features"]
    return {"linear.weight": ("F32", (out, into)), "linear.bias": ("F32", (out,))}


def _write_zeros(path: Path, tensors: _Tensors) -> None:
    """A safetensors file of zeros, with the header that the library writes: long types first, then by name."""
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
    """A safetensors file of random float32 numbers: the weights of norms are about 1, all others about 0."""
    rng = np.random.RandomState(0)
    arrays = {}
    for name, (dtype, shape) in tensors.items():
        if dtype == "I64":
            arrays[name] = np.arange(shape[1])[None]
        else:
            middle, spread = (0.0, 0.2) if len(shape) > 1 else (float(name.endswith(".weight")), 0.1)
            arrays[name] = (middle + spread * rng.standard_normal(shape)).astype(np.float32)
    save_file(arrays, path)
