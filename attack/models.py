"""Model folders in which something lies: they load and embed as the reference does, or the error is documented."""

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
from attack.child import Attack, Result
from attack.drawn import Drawn
from attack.strange_files import replace_file
from attack.target import Target
from pellucid import Embedder

TEXTS = ["", "the cat zat", "cat " * 40, "\u4e2d\U0001f600", "a" * 200 + "!", "<s> [SEP] the\0cat\n"]
FAR = 0.02
"""By how much of its length a vector may differ from the reference's: whatever a change of the weights has made of
rounding, another arithmetic than ours would differ by more."""
HUGE = 1e6
"""Among weights beyond this, rounding is all that is left of a vector."""
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 10**30, 1e308, float("inf"), float("nan"), 0.1, -0.0, "", [], {}, True, None)


def prepare(shared: Path) -> Attack:
    kinds = (["Pooling"], ["Pooling", "Normalize"], model_files.KINDS)
    folders = [
        tiny.write_model(shared / f"{family}-{number}", family, modules=modules, prompts={"query": "query: "})
        for family in tiny_families.FAMILIES
        for number, modules in enumerate(kinds)
    ]
    Embedder(folders[0], threads=1)  # What is imported late is imported here, once.

    def attack(rng: random.Random, files: Path) -> Result:
        folder = files / "model"
        shutil.copytree(rng.choice(folders), folder, copy_function=os.link)
        for _ in range(rng.choice((1, 1, 1, 2))):
            if not _change(rng, folder, folders):
                break
        check(folder)
        return Result()

    return attack


def check(folder: Path) -> None:
    """The law."""
    warnings.simplefilter("ignore")
    embedder = Embedder(folder, threads=1)
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert np.isfinite(vectors).all(), "a vector is not finite"
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    assert (alone == vectors).all(), "a vector depends on the other texts of the call"
    assert np.isfinite(embedder.embed_query(TEXTS[1])).all(), "the vector of a query is not finite"
    reference = Embedder(folder, engine="reference").embed_documents(TEXTS)
    scale = np.linalg.norm(reference.astype(np.float64), axis=1) + 1e-30
    far = np.linalg.norm(vectors.astype(np.float64) - reference, axis=1) / scale
    assert (far < FAR).all() or _has_huge_weights(folder), (
        f"a vector is {far.max():.3g} of its length off the reference's"
    )


def _has_huge_weights(folder: Path) -> bool:
    tensors = (tensor for path in folder.rglob("*.safetensors") for tensor in load_file(path).values())
    return any(np.abs(tensor, dtype=np.float64).max(initial=0) > HUGE for tensor in tensors)


_NOTHING_TO_CHANGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    SafetensorError,
)
"""The first of two changes may have left nothing for the second."""


def _change(rng: random.Random, folder: Path, others: list[Path]) -> bool:
    """Change something. Returns whether all files can still be read, so that something else can be changed."""
    change = rng.choice(
        (_by_fuzz, _by_fuzz, _number, _weights, _tokenizer, _tokenizer, _odd_file, _json, _modules, _swapped)
    )
    with contextlib.suppress(*_NOTHING_TO_CHANGE):
        change(rng, folder, others)
    return change is not _odd_file


def _by_fuzz(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    names = model_files.JSON_FILES if rng.random() < 0.7 else model_files.WEIGHT_FILES
    path = folder / rng.choice([name for name in names if (folder / name).is_file()])
    replace_file(path, model_files.changed(path.read_bytes(), path, Drawn(rng)))


def _number(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """A size or setting of another size or kind."""
    path = folder / rng.choice(("config.json", "sentence_bert_config.json", "tokenizer_config.json", "config.json"))
    told = json.loads(path.read_bytes())
    told[rng.choice([*told, *model_files.KEYS])] = rng.choice(NUMBERS)
    replace_file(path, json.dumps(told).encode())


def _weights(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    rng.choice(model_weights.CHANGES)(rng, rng.choice(sorted(folder.rglob("*.safetensors"))))


def _tokenizer(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    model_tokenizers.rewrite(rng, folder / "tokenizer.json")


def _odd_file(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    strange_files.break_any(rng, folder)


def _json(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """JSON of a kind that parsers stumble over."""
    path = rng.choice(sorted(folder.rglob("*.json")))
    content = path.read_bytes()
    first = content[:1]
    made: tuple[Callable[[], bytes], ...] = (
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
    replace_file(path, rng.choice(made)())


def _modules(rng: random.Random, folder: Path, _others: list[Path]) -> None:
    """Other modules, in other places, more of them."""
    path = folder / "modules.json"
    entries: list[Any] = json.loads(path.read_bytes())
    what = rng.randrange(5)
    if what == 0:
        entries += [entries[-1]] * rng.choice((1, 100, 10_000))
    elif what == 1:
        rng.shuffle(entries)
    elif what == 2:
        rng.choice(entries)["path"] = rng.choice(
            ("..", "../..", "/etc", "a/../..", "\0", "a" * 5000, "1_Pooling/.", "\x1b")
        )
    elif what == 3:
        kind = rng.choice(
            ("os.system", "Pooling", "sentence_transformers.models.", "..", "sentence_transformers.models.WordWeights")
        )
        rng.choice(entries)["type"] = kind
    else:
        entries.pop(rng.randrange(len(entries)))
    replace_file(path, json.dumps(entries).encode())


def _swapped(rng: random.Random, folder: Path, others: list[Path]) -> None:
    """A file of another model; or shards that are not there, or lie elsewhere."""
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
    law="it loads, and its vectors are finite and the reference engine's; or the error is a documented one",
)
