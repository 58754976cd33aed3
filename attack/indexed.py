"""Notes, an index of them, and the answers that it must give.

LanceDB's threads do not survive a fork. So the parent never imports LanceDB: it only calls these functions in forked
processes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from tests import tiny

from attack.killing import run_to_end
from pellucid import Embedder

WORDS = ("the", "cat", "dog", "sat", "on", "mat", "query", "passage")
ALL = "vector, all"
"""The key of the answer with all chunks."""
QUESTIONS = ("the cat sat", "dog", "on the mat query")


def import_dependencies() -> None:
    """Import those of LanceDB's dependencies that start no threads, so that the forked processes need not."""
    for name in ("pyarrow.dataset", "pydantic", "lance_namespace"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def write_notes(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        text = " ".join(random.Random(number).choices(WORDS, k=60))
        (folder / f"{number}.txt").write_text(text)


def prepare(shared: Path, index: str) -> tuple[Path, Path]:
    """Write a model, notes and an index with this name into a folder. Return the folders of the model and the notes."""
    model, notes = tiny.write_model(shared / "model"), shared / "notes"
    Embedder(model, threads=1)  # This makes the late imports once, here, and not in each case.
    import_dependencies()
    write_notes(notes, range(30))
    run_to_end(lambda: update(model, shared / index, notes))
    return model, notes


def update(model: Path, index: Path, notes: Path, *, rebuild: bool = False, chunks_per_step: int = 0) -> None:
    """Make or update the index. With fewer ``chunks_per_step`` there are more steps between which a kill can come."""
    from pellucid.search import update as module
    from pellucid.search.index import Index

    if chunks_per_step:
        vars(module)["_chunks_per_step"] = lambda _embedder: chunks_per_step
    Index.create(index, Embedder(model, threads=1), rebuild=rebuild).update([notes])


def rows(model: Path, index: Path) -> dict[str, list[float]]:
    """Read all rows of the index: the vector of each row, by the row's other values as JSON."""
    from pellucid.search.index import Index

    stored = Index.open(index, Embedder(model, threads=1)).store._chunks().search().limit(None).to_list()
    vectors = {}
    for row in stored:
        vector = [float(number) for number in row.pop("vector")]
        row.pop("modified")
        vectors[json.dumps(row, sort_keys=True)] = vector
    assert len(vectors) == len(stored), "the index has a row twice"
    return vectors


def answers(model: Path, index: Path) -> dict[str, list[tuple[str, float]]]:
    """Search in each mode for each question, and by vector for all chunks. Return chunks with scores, best first."""
    from pellucid.search.index import Index

    opened_index = Index.open(index, Embedder(model, threads=1))
    found: dict[str, list[tuple[str, float]]] = {}
    for question in QUESTIONS:
        for mode in ("vector", "text", "hybrid"):
            hits = opened_index.search(question, 5, mode=mode)
            found[f"{mode}: {question}"] = [
                (f"{hit.row.file} {hit.row.start} {hit.row.text}", hit.score) for hit in hits
            ]
    hits = opened_index.search(QUESTIONS[0], 1000, mode="vector")
    found[ALL] = [(f"{hit.row.file} {hit.row.start} {hit.row.text}", hit.score) for hit in hits]
    return found


def check_answers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check the answers of a search.

    A vector search must give the same chunks with the same scores. The scores of a word search depend on the table's
    layout, so it must only give the same number of chunks, all of which exist.
    """
    existing = {text for hits in expected.values() for text, _ in hits} | {text for text, _ in expected[ALL]}
    for key, hits in expected.items():
        assert len(found[key]) == len(hits), f"{key}: the number of chunks is {len(found[key])}"
        if key.startswith("vector") or key == ALL:
            assert [text for text, _ in found[key]] == [text for text, _ in hits], f"{key}: wrong chunks"
            assert np.allclose([s for _, s in found[key]], [s for _, s in hits], atol=1e-5), f"{key}: wrong scores"
        assert {text for text, _ in found[key]} <= existing, f"{key}: a chunk that does not exist"


def left_over(index: Path) -> list[str]:
    """The names of tables and unfinished files that the index does not use and that should have been removed."""
    names = sorted(path.name for path in index.iterdir())
    tables = [name for name in names if name.endswith(".lance")]
    current_table = json.loads((index / "index.json").read_text())["pointer"]["table"]
    unfinished = {name for name in names if name.startswith((".unfinished", "staged-"))}
    return sorted(unfinished | {name for name in tables if name != f"{current_table}.lance"})
