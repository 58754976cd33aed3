"""Target ``models``: model folders with false content. They load and embed as the reference does, or the error is a
documented one.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import model_files
from safetensors import SafetensorError
from safetensors.numpy import load_file
from tests import tiny, tiny_families

from attack import model_tokenizers, model_weights, strange_files
from attack.child import Case, Result
from attack.drawn import RandomDataProvider
from attack.strange_files import replace_file
from attack.target import Target
from pellucid import Embedder

TEXTS = ["", "the cat zat", "cat " * 40, "\u4e2d\U0001f600", "a" * 200 + "!", "<s> [SEP] the\0cat\n"]
MAX_DIFFERENCE = 0.02
"""How far a vector may be from the reference's, as a share of its length. Changed weights can make rounding errors
large, but an engine with different arithmetic would be further away."""
HUGE_WEIGHT = 1e6
"""With weights over this, only rounding errors are left of a vector."""
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 10**30, 1e308, float("inf"), float("nan"), 0.1, -0.0, "", [], {}, True, None)


def prepare(shared: Path) -> Case:
    module_lists = (["Pooling"], ["Pooling", "Normalize"], model_files.MODULES)
    folders = [
        tiny.write_model(shared / f"{family}-{number}", family, modules=modules, prompts={"query": "query: "})
        for family in tiny_families.FAMILIES
        for number, modules in enumerate(module_lists)
    ]
    Embedder(folders[0], threads=1)  # This makes the late imports once, here, and not in each case.

    def case(rng: random.Random, files: Path) -> Result:
        folder = files / "model"
        shutil.copytree(rng.choice(folders), folder, copy_function=os.link)
        for _ in range(rng.choice((1, 1, 1, 2))):
            if not _change(rng, folder, folders):
                break
        check(folder)
        return Result()

    return case


def check(folder: Path) -> None:
    """Check the invariant."""
    warnings.simplefilter("ignore")
    embedder = Embedder(folder, threads=1)
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert np.isfinite(vectors).all(), "a vector is not finite"
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    assert (alone == vectors).all(), "a vector depends on the other texts of the call"
    assert np.isfinite(embedder.embed_query(TEXTS[1])).all(), "the vector of a query is not finite"
    reference = Embedder(folder, engine="reference").embed_documents(TEXTS)
    lengths = np.linalg.norm(reference.astype(np.float64), axis=1) + 1e-30
    differences = np.linalg.norm(vectors.astype(np.float64) - reference, axis=1) / lengths
    assert (differences < MAX_DIFFERENCE).all() or _has_huge_weights(folder), (
        f"a vector differs from the reference's by {differences.max():.3g} of its length"
    )


def _has_huge_weights(folder: Path) -> bool:
    tensors = (tensor for path in folder.rglob("*.safetensors") for tensor in load_file(path).values())
    return any(np.abs(tensor, dtype=np.float64).max(initial=0) > HUGE_WEIGHT for tensor in tensors)


_CANNOT_CHANGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    SafetensorError,
)
"""The errors of a second change, if the first one left nothing that it could change."""


def _change(rng: random.Random, folder: Path, others: list[Path]) -> bool:
    """Make one change. Return False if a file may be unreadable afterwards, so that a second change would fail."""
    change = rng.choice(
        (
            *(_fuzzed_file, _fuzzed_file, _setting, _weights, _tokenizer),
            *(_tokenizer, _strange_file, _strange_json, _modules, _swapped_file),
        )
    )
    with contextlib.suppress(*_CANNOT_CHANGE):
        change(rng, folder, others)
    return change is not _strange_file


def _fuzzed_file(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """Change a file as ``fuzz.model_files`` does."""
    names = model_files.JSON_FILES if rng.random() < 0.7 else model_files.WEIGHT_FILES
    path = folder / rng.choice([name for name in names if (folder / name).is_file()])
    replace_file(path, model_files.mutate(path.read_bytes(), path, RandomDataProvider(rng)))


def _setting(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """Give a size or setting another value or type."""
    path = folder / rng.choice(("config.json", "sentence_bert_config.json", "tokenizer_config.json", "config.json"))
    settings = json.loads(path.read_bytes())
    settings[rng.choice([*settings, *model_files.KEYS])] = rng.choice(NUMBERS)
    replace_file(path, json.dumps(settings).encode())


def _weights(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    rng.choice(model_weights.CHANGES)(rng, rng.choice(sorted(folder.rglob("*.safetensors"))))


def _tokenizer(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    model_tokenizers.rewrite(rng, folder / "tokenizer.json")


def _strange_file(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    strange_files.break_any(rng, folder)


def _strange_json(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """Write JSON that is hard to parse: very deep, very long, not quite valid, or with the same key twice."""
    path = rng.choice(sorted(folder.rglob("*.json")))
    content = path.read_bytes()
    first = content[:1]
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: b"[" * 200_000,
        lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        lambda: b"1" * 1_000_000,
        lambda: b'"' + b"a" * 20_000_000 + b'"',
        lambda: first + b'"model_type": "bert", "model_type": 7,' + content[1:],
        lambda: first + b"/* comment */" + content[1:],
        lambda: content.replace(b'"', b"'"),
        lambda: b"null",
        lambda: content[:-1] + b', "\\ud800": "\\udfff"' + content[-1:],
        lambda: content[:-1] + b', "\\u001b[31m": "\\u0007"' + content[-1:],
        lambda: first + b"".join(b'"k%d": %d,' % (number, number) for number in range(100_000)) + content[1:],
    )
    replace_file(path, rng.choice(makers)())


def _modules(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """Change ``modules.json``: repeat, reorder or remove modules, or change a path or a type."""
    path = folder / "modules.json"
    entries: list[Any] = json.loads(path.read_bytes())
    choice = rng.randrange(5)
    if choice == 0:
        entries += [entries[-1]] * rng.choice((1, 100, 10_000))
    elif choice == 1:
        rng.shuffle(entries)
    elif choice == 2:
        rng.choice(entries)["path"] = rng.choice(
            ("..", "../..", "/etc", "a/../..", "\0", "a" * 5000, "1_Pooling/.", "\x1b")
        )
    elif choice == 3:
        kind = rng.choice(
            ("os.system", "Pooling", "sentence_transformers.models.", "..", "sentence_transformers.models.WordWeights")
        )
        rng.choice(entries)["type"] = kind
    else:
        entries.pop(rng.randrange(len(entries)))
    replace_file(path, json.dumps(entries).encode())


def _swapped_file(rng: random.Random, folder: Path, others: list[Path]) -> None:
    """Replace a file by another model's; or split the weights into shards that are missing or lie elsewhere."""
    if rng.random() < 0.3:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
        shard = rng.choice(
            ("model-00001-of-00002.safetensors", "../../../../etc/passwd", "/dev/zero", "nothing", "", 7, "\0")
        )
        weights = rng.choice(({"embeddings.word_embeddings.weight": shard}, {}, [], None, {"a": shard}))
        replace_file(folder / "model.safetensors.index.json", json.dumps({"weight_map": weights}).encode())
        return
    source = rng.choice(others)
    name = rng.choice(sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file()))
    (folder / name).parent.mkdir(exist_ok=True)
    replace_file(folder / name, (source / name).read_bytes())


TARGET = Target(
    prepare,
    cases=10_000,
    short=120,
    invariant="it loads, and its vectors are finite and equal the reference engine's; or the error is a documented one",
)
