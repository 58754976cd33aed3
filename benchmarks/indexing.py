"""What `pellucid index` costs beside the embedding itself, and how long a search takes of an index of 100,000 chunks.

Run it with Pellucid's own Python, on a machine that has nothing else to do::

    .venv/bin/python benchmarks/indexing.py --json benchmarks/results/latest-indexing.json
"""

from __future__ import annotations

import argparse
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import texts

from pellucid import Embedder
from pellucid.search.index import Index
from pellucid.search.rows import Row
from pellucid.search.store import Store

MANY_FILES = 10_000
MANY_CHUNKS = 100_000
CHUNKS_AT_ONCE = 1024
SEARCHES = 30


def main() -> None:
    """Print the figures; times are in seconds."""
    parser = argparse.ArgumentParser(description="Times of indexing and searching.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    embedder = Embedder(arguments.model, on_truncation="ignore")
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            **machine.about(arguments.model),
            "indexing": indexing(embedder, Path(folder), arguments.rounds),
            "unchanged": unchanged(embedder, Path(folder)),
            "searching": searching(embedder, Path(folder)),
        }
    machine.tell(figures, arguments.json)


def indexing(embedder: Embedder, folder: Path, rounds: int) -> dict[str, Any]:
    """The source of a part of the standard library, indexed, and the same chunks only embedded; in turns."""
    sources = [Path(sysconfig.get_path("stdlib")) / name for name in ("asyncio", "email", "http", "json", "logging")]
    alone, indexed = [], []
    for number in range(rounds):
        index = Index.create(folder / f"index-{number}", embedder)
        indexed.append(seconds(lambda index=index: index.update(sources)))  # type: ignore[misc]
        chunks = list(dict.fromkeys(row.text for row in index.store.rows()))
        alone.append(seconds(lambda chunks=chunks: embedder.embed_documents(chunks)))  # type: ignore[misc]
    ratios = [whole / part for whole, part in zip(indexed, alone, strict=True)]
    return {"chunks": len(chunks), "indexed": indexed, "embedded": alone, "median ratio": statistics.median(ratios)}


def unchanged(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Another update of 10,000 small files that are as they were; and one with a single file changed."""
    files = folder / "many"
    for number, text in enumerate(texts.many(MANY_FILES)):
        file = files / str(number // 100) / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    index = Index.create(folder / "index-of-many", embedder)
    first = seconds(lambda: index.update([files]))
    again = seconds(lambda: index.update([files]))
    (files / "0" / "0.txt").write_text("Changed.", encoding="utf-8")
    return {"files": MANY_FILES, "first": first, "again": again, "one changed": seconds(lambda: index.update([files]))}


def searching(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Median times of a search beyond the embedding of its query: in vectors, words and both."""
    index = Index.create(folder / "index-of-chunks", embedder)
    _fill(index.store, embedder)
    vector = embedder.embed_query(texts.QUERY)
    index.search(texts.QUERY)
    return {
        "chunks": index.store.count(),
        "vector": median(lambda: index.store.rank(vector, 10, "vector")),
        "vector, approximate": median(lambda: index.store.rank(vector, 10, "vector", approximate=True)),
        "text": median(lambda: index.store.rank(texts.QUERY, 10, "text")),
        "hybrid, with the embedding": median(lambda: index.search(texts.QUERY)),
        "embedding": median(lambda: embedder.embed_query(texts.QUERY)),
    }


def _fill(store: Store, embedder: Embedder) -> None:
    """100,000 chunks: 10,000 texts, and for each ten vectors around its own.

    How good they are is of no account here; but equal ones, or ones spread evenly, would be unlike any texts'.
    """
    drawn = np.random.default_rng(0)
    written = texts.many(MANY_FILES)
    vectors = embedder.embed_documents(written)
    for start in range(0, MANY_CHUNKS, CHUNKS_AT_ONCE):
        numbers = range(start, min(start + CHUNKS_AT_ONCE, MANY_CHUNKS))
        near = vectors[[number % MANY_FILES for number in numbers]]
        near = near + drawn.normal(scale=0.02, size=near.shape).astype(np.float32)
        store.stage(
            [Row(f"{n // 10}.txt", "", 1, 1, "", 0, 1, 1, 1, written[n % MANY_FILES], str(n)) for n in numbers],
            near / np.linalg.norm(near, axis=1, keepdims=True),
        )
    store.commit([])


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[], object]) -> float:
    """How long it takes, of 30 times."""
    return statistics.median(seconds(work) for _ in range(SEARCHES))


if __name__ == "__main__":
    main()
