"""Target ``model_files``: change one of a model's files. The model loads and embeds, or raises a ``ModelError``."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import tiny, tiny_families

from pellucid import Embedder
from pellucid.errors import ModelError

JSON_FILES = (
    *("config.json", "modules.json", "1_Pooling/config.json", "2_Dense/config.json", "3_LayerNorm/config.json"),
    *("sentence_bert_config.json", "tokenizer_config.json", "config_sentence_transformers.json", "tokenizer.json"),
)
WEIGHT_FILES = ("model.safetensors", "2_Dense/model.safetensors")
MODULES = ["Pooling", "Dense", "LayerNorm", "Normalize"]
KEYS = (
    *("pooling_mode", "layer_types", "rope_parameters", "rope_theta", "n_embd", "path", "type", "text_config"),
    *("cls_token", "strip_accents", "truncation_side", "default_prompt_name", "module_input_name", "head_dim"),
)
"""Keys that Pellucid reads, but that the tiny models' files do not have."""
NUMBERS = (
    0,
    -1,
    1,
    2,
    2**31 - 1,
    2**31,
    2**63,
    -(2**63),
    10**9,
    10**12,
    10**400,
    0.5,
    -0.0,
    1e-300,
    float("inf"),
    float("nan"),
)
TEXTS = ("", "..", "/", "a" * 300, "\ud800", "\0", "mean", "lasttoken", "full_attention", "gelu", "left", "[UNK]", "./")

REWRITES: list[Callable[[bytes], bytes]] = [
    lambda _: b"",
    lambda original: bytes(len(original)),
    lambda original: b"\xef\xbb\xbf" + original,
    lambda original: original.decode("latin-1").encode("utf-16"),
    lambda _: b"[" * 100_000,
    lambda original: original.rstrip()[:-1] + b', "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    lambda original: original.rstrip()[:-1] + b', "hidden_size": 5, "path": "x"}',
    lambda _: b"[" + b"[]," * 10_000 + b"[]]",
    lambda _: b'{"hidden_size": ' + b"9" * 100_000 + b"}",
    lambda original: original[: len(original) // 2],
]
"""Functions that rewrite a whole file: in another encoding, deeply nested, with a key twice, or with long values."""


def target() -> Callable[[Any], None]:
    root = Path("build/fuzz-models/model_files")  # libFuzzer ends the process, so nothing could clean up.
    folders = [tiny.write_model(root / family, family, modules=MODULES) for family in tiny_families.FAMILIES]

    def check(data: Any) -> None:
        folder = data.PickValueInList(folders)
        names = WEIGHT_FILES if data.ConsumeBool() else JSON_FILES
        path = folder / data.PickValueInList(list(names))
        original = path.read_bytes()
        try:
            path.write_bytes(mutate(original, path, data))
            Embedder(folder, threads=1).embed_documents(["", "the cat zat", "cat " * 40, "\u4e2d\U0001f600"])
        except ModelError:
            pass
        finally:
            path.write_bytes(original)

    return check


def mutate(original: bytes, path: Path, data: Any) -> bytes:
    """Change the content: rewrite all of it, replace some bytes, or put other values into its JSON or JSON header."""
    if data.ConsumeProbability() < 0.1:
        return data.PickValueInList(REWRITES)(original)
    if data.ConsumeBool():
        start = data.ConsumeIntInRange(0, min(len(original), 2000))
        removed = data.ConsumeIntInRange(0, 8)
        return original[:start] + data.ConsumeBytes(12) + original[start + removed :]
    if path.suffix == ".json":
        return _dump(_edit(json.loads(original), data))
    length = int.from_bytes(original[:8], "little")
    header = _dump(_edit(json.loads(original[8 : 8 + length]), data))
    return len(header).to_bytes(8, "little") + header + original[8 + length :]


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _edit(value: Any, data: Any) -> Any:
    """Return a copy of a JSON value with one to three changes."""
    value = copy.deepcopy(value)
    for _ in range(data.ConsumeIntInRange(1, 3)):
        container = value
        while isinstance(container, dict | list) and container:
            keys = list(container) if isinstance(container, dict) else list(range(len(container)))
            key = data.PickValueInList(keys)
            if not isinstance(container[key], dict | list) or not container[key] or data.ConsumeProbability() < 0.2:
                _change_entry(container, key, data)
                break
            container = container[key]
    return value


def _change_entry(container: Any, key: Any, data: Any) -> None:
    choice = data.ConsumeIntInRange(0, 3)
    if choice == 0:
        del container[key]
    elif choice == 1 and isinstance(container, dict):
        container[data.PickValueInList([*KEYS, *container])] = make_value(data)
    else:
        container[key] = make_value(data)


def make_value(data: Any, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = data.ConsumeIntInRange(0, 7 if depth else 5)
    if kind < 6:
        simple = (None, data.ConsumeBool(), data.ConsumeInt(4), data.PickValueInList(list(NUMBERS)))
        return (*simple, data.PickValueInList(list(TEXTS)), data.ConsumeUnicode(6))[kind]
    inner = [make_value(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))]
    return inner if kind == 6 else {data.PickValueInList(list(KEYS)): value for value in inner}
