"""Compares `pellucid index` with embedding alone, and times a search in an index of 100,000 chunks.

Run it with Pellucid's own Python, on an otherwise idle machine::

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
from pellucid.tables.vector_columns import dense_column

FILES = 10_000
CHUNKS = 100_000
CHUNKS_PER_STAGE = 1024
SEARCHES = 30


def main() -> None:
    """Print the figures; times are in seconds."""
    parser = argparse.ArgumentParser(description="Measure how long indexing and searching take.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    embedder = Embedder(arguments.model, on_truncation="cut")
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            **machine.describe_run(arguments.model),
            "indexing": indexing(embedder, Path(folder), arguments.rounds),
            "unchanged": updating(embedder, Path(folder)),
            "searching": searching(embedder, Path(folder)),
        }
    machine.write_figures(figures, arguments.json)


def indexing(embedder: Embedder, folder: Path, rounds: int) -> dict[str, Any]:
    """Index source code from the standard library, and embed the same chunks without an index, in turns."""
    sources = [Path(sysconfig.get_path("stdlib")) / name for name in ("asyncio", "email", "http", "json", "logging")]
    alone, indexed = [], []
    for number in range(rounds):
        index = Index.create(folder / f"index-{number}", embedder)
        indexed.append(seconds(lambda index=index: index.update(sources)))  # type: ignore[misc]
        chunks = list(dict.fromkeys(row.text for row in index.store.rows()))
        alone.append(seconds(lambda chunks=chunks: embedder.embed_documents(chunks)))  # type: ignore[misc]
    ratios = [whole / part for whole, part in zip(indexed, alone, strict=True)]
    return {"chunks": len(chunks), "indexed": indexed, "embedded": alone, "median ratio": statistics.median(ratios)}


def updating(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Update an index of 10,000 small files when no file has changed, and when one has."""
    files = folder / "many"
    for number, text in enumerate(texts.many(FILES)):
        file = files / str(number // 100) / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    index = Index.create(folder / "index-of-many", embedder)
    first = seconds(lambda: index.update([files]))
    again = seconds(lambda: index.update([files]))
    (files / "0" / "0.txt").write_text("Changed.", encoding="utf-8")
    return {"files": FILES, "first": first, "again": again, "one changed": seconds(lambda: index.update([files]))}


def searching(embedder: Embedder, folder: Path) -> dict[str, Any]:
    """Median times of a search by vector, by words and by both. Only the last includes the embedding of the query."""
    index = Index.create(folder / "index-of-chunks", embedder)
    _fill(index.store, embedder)
    question = index.kind.question(texts.QUERY)
    index.search(texts.QUERY)
    return {
        "chunks": index.store.count(),
        "vector": median_seconds(lambda: index.store.rank(question, 10)),
        "vector, approximate": median_seconds(lambda: index.store.rank(question, 10, approximate=True)),
        "text": median_seconds(lambda: index.store.rank_by_words(texts.QUERY, 10)),
        "hybrid, with the embedding": median_seconds(lambda: index.search(texts.QUERY)),
        "embedding": median_seconds(lambda: embedder.embed_query(texts.QUERY)),
    }


def _fill(store: Store, embedder: Embedder) -> None:
    """Add 100,000 chunks: 10,000 texts, each with ten vectors near its own.

    The quality of these vectors does not matter here. But equal or evenly spread vectors would not resemble those of
    real texts.
    """
    generator = np.random.default_rng(0)
    documents = texts.many(FILES)
    vectors = embedder.embed_documents(documents)
    for start in range(0, CHUNKS, CHUNKS_PER_STAGE):
        numbers = range(start, min(start + CHUNKS_PER_STAGE, CHUNKS))
        near = vectors[[number % FILES for number in numbers]]
        near = near + generator.normal(scale=0.02, size=near.shape).astype(np.float32)
        store.stage(
            [Row(f"{n // 10}.txt", "", 1, 1, "", 0, 1, 1, 1, documents[n % FILES], str(n)) for n in numbers],
            dense_column(near / np.linalg.norm(near, axis=1, keepdims=True)),
        )
    store.commit([])


def seconds(call: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def median_seconds(call: Callable[[], object]) -> float:
    """How many seconds a call takes: the median of 30 calls."""
    return statistics.median(seconds(call) for _ in range(SEARCHES))


if __name__ == "__main__":
    main()
