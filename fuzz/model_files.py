"""A model's files, of which one says something else than it did: they load, or the error is a ModelError."""

from __future__ import annotations

import copy
import json
import tempfile
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
KINDS = ["Pooling", "Dense", "LayerNorm", "Normalize"]
KEYS = (
    *("pooling_mode", "layer_types", "rope_parameters", "rope_theta", "n_embd", "path", "type", "text_config"),
    *("cls_token", "strip_accents", "truncation_side", "default_prompt_name", "module_input_name", "head_dim"),
)
"""Keys that are read, and that the tiny models do not have."""
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

OTHERWISE: list[Callable[[bytes], bytes]] = [
    lambda _: b"",
    lambda sound: bytes(len(sound)),
    lambda sound: b"\xef\xbb\xbf" + sound,
    lambda sound: sound.decode("latin-1").encode("utf-16"),
    lambda _: b"[" * 100_000,
    lambda sound: sound.rstrip()[:-1] + b', "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    lambda sound: sound.rstrip()[:-1] + b', "hidden_size": 5, "path": "x"}',
    lambda _: b"[" + b"[]," * 10_000 + b"[]]",
    lambda _: b'{"hidden_size": ' + b"9" * 100_000 + b"}",
    lambda sound: sound[: len(sound) // 2],
]
"""Other encodings of the file, deep nesting, a key twice, and long values."""


def target() -> Callable[[Any], None]:
    root = Path(tempfile.mkdtemp())
    folders = [tiny.write_model(root / family, family, modules=KINDS) for family in tiny_families.FAMILIES]

    def check(data: Any) -> None:
        folder = data.PickValueInList(folders)
        names = WEIGHT_FILES if data.ConsumeBool() else JSON_FILES
        path = folder / data.PickValueInList(list(names))
        sound = path.read_bytes()
        try:
            path.write_bytes(changed(sound, path, data))
            Embedder(folder, threads=1).embed_documents(["", "the cat zat", "cat " * 40, "\u4e2d\U0001f600"])
        except ModelError:
            pass
        finally:
            path.write_bytes(sound)

    return check


def changed(sound: bytes, path: Path, data: Any) -> bytes:
    """Other bytes, or the same JSON with values of other kinds in it."""
    if data.ConsumeProbability() < 0.1:
        return data.PickValueInList(OTHERWISE)(sound)
    if data.ConsumeBool():
        start = data.ConsumeIntInRange(0, min(len(sound), 2000))
        removed = data.ConsumeIntInRange(0, 8)
        return sound[:start] + data.ConsumeBytes(12) + sound[start + removed :]
    if path.suffix == ".json":
        return _dumped(_edited(json.loads(sound), data))
    length = int.from_bytes(sound[:8], "little")
    header = _dumped(_edited(json.loads(sound[8 : 8 + length]), data))
    return len(header).to_bytes(8, "little") + header + sound[8 + length :]


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _edited(value: Any, data: Any) -> Any:
    """The value with one to three places changed."""
    value = copy.deepcopy(value)
    for _ in range(data.ConsumeIntInRange(1, 3)):
        place = value
        while isinstance(place, dict | list) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.PickValueInList(keys)
            if not isinstance(place[key], dict | list) or not place[key] or data.ConsumeProbability() < 0.2:
                _change(place, key, data)
                break
            place = place[key]
    return value


def _change(place: Any, key: Any, data: Any) -> None:
    what = data.ConsumeIntInRange(0, 3)
    if what == 0:
        del place[key]
    elif what == 1 and isinstance(place, dict):
        place[data.PickValueInList([*KEYS, *place])] = made(data)
    else:
        place[key] = made(data)


def made(data: Any, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = data.ConsumeIntInRange(0, 7 if depth else 5)
    if kind < 6:
        simple = (None, data.ConsumeBool(), data.ConsumeInt(4), data.PickValueInList(list(NUMBERS)))
        return (*simple, data.PickValueInList(list(TEXTS)), data.ConsumeUnicode(6))[kind]
    inner = [made(data, depth - 1) for _ in range(data.ConsumeIntInRange(0, 3))]
    return inner if kind == 6 else {data.PickValueInList(list(KEYS)): value for value in inner}
