"""Some notes, an index of them, and what it must answer. LanceDB's threads do not live through a fork: all of this is
called in forked processes, of a parent that never imports it."""

from __future__ import annotations

import contextlib
import importlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from tests import tiny

from attack.killing import finished
from pellucid import Embedder

WORDS = ("the", "cat", "dog", "sat", "on", "mat", "query", "passage")
ALL = "vector, all"
QUESTIONS = ("the cat sat", "dog", "on the mat query")


def import_most() -> None:
    """Of what LanceDB imports, that which starts no threads, so that each forked process need not do it again."""
    for name in ("pyarrow.dataset", "pydantic", "lance_namespace"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def write_notes(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        text = " ".join(random.Random(number).choices(WORDS, k=60))
        (folder / f"{number}.txt").write_text(text)


def prepare(shared: Path, index: str) -> tuple[Path, Path]:
    """Make a model, some notes and their index, of this name, in a folder. Returns the model and the notes."""
    model, notes = tiny.write_model(shared / "model"), shared / "notes"
    Embedder(model, threads=1)  # What is imported late is imported here, once.
    import_most()
    write_notes(notes, range(30))
    finished(lambda: update(model, shared / index, notes))
    return model, notes


def update(model: Path, index: Path, notes: Path, *, rebuild: bool = False, chunks_per_step: int = 0) -> None:
    from pellucid.search import index as module

    if chunks_per_step:
        vars(module)["_CHUNKS_PER_STEP"] = chunks_per_step  # More moments for a kill.
    module.Index.create(index, Embedder(model, threads=1), rebuild=rebuild).update([notes])


def rows(model: Path, index: Path) -> dict[str, list[float]]:
    """Each row with its vector: all that an index holds."""
    from pellucid.search.index import Index

    found = Index.open(index, Embedder(model, threads=1)).store._chunks().search().limit(None).to_list()
    made = {}
    for row in found:
        vector = [float(number) for number in row.pop("vector")]
        row.pop("modified")
        made[json.dumps(row, sort_keys=True)] = vector
    assert len(made) == len(found), "a row is there twice"
    return made


def answers(model: Path, index: Path) -> dict[str, list[tuple[str, float]]]:
    """What each kind of search answers: chunks and scores, best first."""
    from pellucid.search.index import Index

    opened = Index.open(index, Embedder(model, threads=1))
    found: dict[str, list[tuple[str, float]]] = {}
    for question in QUESTIONS:
        for mode in ("vector", "text", "hybrid"):
            hits = opened.search(question, 5, mode=mode)
            found[f"{mode}: {question}"] = [
                (f"{hit.row.file} {hit.row.start} {hit.row.text}", hit.score) for hit in hits
            ]
    hits = opened.search(QUESTIONS[0], 1000, mode="vector")
    found[ALL] = [(f"{hit.row.file} {hit.row.start} {hit.row.text}", hit.score) for hit in hits]
    return found


def check_answers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """By vectors, the same chunks with the same scores; by words, whose scores depend on how a table is laid out, as
    many chunks, and such as are there.
    """
    known = {text for hits in expected.values() for text, _ in hits} | {text for text, _ in expected[ALL]}
    for key, hits in expected.items():
        assert len(found[key]) == len(hits), f"{key}: {len(found[key])} chunks"
        if key.startswith("vector") or key == ALL:
            assert [text for text, _ in found[key]] == [text for text, _ in hits], f"{key}: other chunks"
            assert np.allclose([s for _, s in found[key]], [s for _, s in hits], atol=1e-5), f"{key}: other scores"
        assert {text for text, _ in found[key]} <= known, f"{key}: a chunk that is not there"


def left_over(index: Path) -> list[str]:
    """What a process that was killed has left, and nobody has removed."""
    names = sorted(path.name for path in index.iterdir())
    tables = [name for name in names if name.endswith(".lance")]
    counted = json.loads((index / "index.json").read_text())["pointer"]["table"]
    strange = {name for name in names if name.startswith((".unfinished", "staged-"))}
    return sorted(strange | {name for name in tables if name != f"{counted}.lance"})
