"""Decoders of real shapes with random weights, written as sentence-transformers saves them.

Nobody's weights are at hand here, and a matrix product takes as long with random numbers. Weights have a standard
deviation of 0.02, and norms are about 1, so that activations stay in the range of a trained model's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import texts

SEED = 0
END = "<|endoftext|>"
MAX_TOKENS = 512
TRAINED_TOKENS = 8_000
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the tokenizer of Qwen2 and Qwen3 cuts a text into words. llama.cpp knows this pattern by the name "qwen2"."""
_CLASSES = "sentence_transformers.models"
_NUMBERS_PER_CHUNK = 1 << 22


@dataclass(frozen=True)
class Shape:
    """The shape of a model.

    Attributes:
        config: the decoder's config.json.
        pooling: how a text's vector is made of its tokens' vectors, as sentence-transformers names it.
        dense: the input and output sizes of the linear layers after that.
    """

    config: dict[str, Any]
    pooling: str
    dense: tuple[tuple[int, int], ...] = ()


SHAPES = {
    "Qwen3-Embedding-0.6B": Shape(
        {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "vocab_size": 151_669,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "hidden_act": "silu",
            "attention_bias": False,
            "max_position_embeddings": 32_768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000,
            "tie_word_embeddings": True,
            "use_sliding_window": False,
            "dtype": "bfloat16",
        },
        pooling="lasttoken",
    ),
    "embeddinggemma-300m": Shape(
        {
            "architectures": ["Gemma3TextModel"],
            "model_type": "gemma3_text",
            "vocab_size": 262_144,
            "hidden_size": 768,
            "intermediate_size": 1152,
            "num_hidden_layers": 24,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "hidden_activation": "gelu_pytorch_tanh",
            "attention_bias": False,
            "max_position_embeddings": 2048,
            "query_pre_attn_scalar": 256,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000.0,
            "rope_local_base_freq": 10_000.0,
            "sliding_window": 512,
            "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 4,
            "use_bidirectional_attention": True,
            "tie_word_embeddings": True,
            "dtype": "bfloat16",
        },
        pooling="mean",
        dense=((768, 3072), (3072, 768)),
    ),
}
"""The shapes that are measured, by the name of the model that has them."""


def write_model(shape: Shape, folder: Path) -> None:
    """Write a model, with the same weights each time."""
    folder.mkdir(parents=True)
    _write_json(folder / "config.json", shape.config)
    norm = 0.0 if shape.config["model_type"] == "gemma3_text" else 1.0  # Gemma adds one to its norms' weights.
    _write_safetensors(folder / "model.safetensors", decoder_tensors(shape.config), norm)
    _write_tokenizer(folder, shape.config["vocab_size"])
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    for number, (inputs, outputs) in enumerate(shape.dense, 2):
        name = f"{number}_Dense"
        modules.append((name, "Dense"))
        (folder / name).mkdir()
        _write_safetensors(folder / name / "model.safetensors", {"linear.weight": (outputs, inputs)})
        activation = "torch.nn.modules.linear.Identity"
        config = {"in_features": inputs, "out_features": outputs, "bias": False, "activation_function": activation}
        _write_json(folder / name / "config.json", config)
    modules.append((f"{len(modules)}_Normalize", "Normalize"))
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"{_CLASSES}.{kind}"} for i, (path, kind) in enumerate(modules)
    ]
    (folder / "1_Pooling").mkdir()
    pooling = "pooling_mode_lasttoken" if shape.pooling == "lasttoken" else "pooling_mode_mean_tokens"
    flags = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False, pooling: True}
    _write_json(
        folder / "1_Pooling" / "config.json", {"word_embedding_dimension": shape.config["hidden_size"], **flags}
    )
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    _write_json(folder / "modules.json", listed)


def decoder_tensors(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a decoder's tensors, as transformers has them."""
    hidden, inner, head = (config[key] for key in ("hidden_size", "intermediate_size", "head_dim"))
    queries, keys = (config[key] * head for key in ("num_attention_heads", "num_key_value_heads"))
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "self_attn.q_norm": (head,),
        "self_attn.k_norm": (head,),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    if config["model_type"] == "gemma3_text":
        layer |= {"pre_feedforward_layernorm": (hidden,), "post_feedforward_layernorm": (hidden,)}
    tensors: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (config["vocab_size"], hidden)}
    for number in range(config["num_hidden_layers"]):
        tensors |= {f"layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    return tensors | {"norm.weight": (hidden,)}


def read_tensors(file: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """The names and numbers of the tensors in a file that :func:`write_model` wrote."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        data = stream.tell()
    for name, entry in header.items():
        if name != "__metadata__":
            start, _ = entry["data_offsets"]
            halves = np.memmap(file, "<u2", "r", data + start, tuple(entry["shape"]))
            yield name, (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def cut(tokenizer: Any, text: str, tokens: int) -> str:
    """The start of a text, of almost exactly this many tokens with the token at its end."""
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    return text[: ends[min(tokens - 1, len(ends)) - 1]]


def _write_tokenizer(folder: Path, vocab_size: int) -> None:
    """Write a byte-level BPE tokenizer that was trained on docstrings, and puts a token at the end of a text.

    It has fewer tokens than the model has rows, as real ones do. The rows that it lacks take up memory, but no time.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(vocab_size, TRAINED_TOKENS),
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts.short(2000), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(f"$A {END}", None, [(END, tokenizer.token_to_id(END))])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS}
    _write_json(folder / "tokenizer_config.json", {**settings, "eos_token": END, "pad_token": END})


def _write_safetensors(file: Path, shapes: dict[str, tuple[int, ...]], norm: float = 1.0) -> None:
    """Write random tensors in bfloat16, with norms about ``norm``.

    It writes a piece at a time, because a table may have gigabytes, and by itself, because NumPy has no bfloat16.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with file.open("wb") as stream:
        stream.write(len(encoded).to_bytes(8, "little") + encoded)
        for number, (name, shape) in enumerate(shapes.items()):
            mean = norm if name.endswith("norm.weight") else 0.0
            _write_numbers(stream, np.random.default_rng([SEED, number]), math.prod(shape), mean)


def _write_numbers(stream: IO[bytes], rng: np.random.Generator, count: int, mean: float) -> None:
    for start in range(0, count, _NUMBERS_PER_CHUNK):
        size = min(_NUMBERS_PER_CHUNK, count - start)
        numbers = rng.standard_normal(size, np.float32) * np.float32(0.02) + np.float32(mean)
        # The upper half of a float32 is a bfloat16.
        stream.write((numbers.view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes())


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
