"""Times exact searches that read all vectors: in an index of sparse vectors, and in one of a vector for each token.

The vectors are random, and as many as real models give. Run it with Pellucid's own Python, on an otherwise idle
machine::

    .venv/bin/python benchmarks/scanning.py --json benchmarks/results/latest-scanning.json
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import machine
import numpy as np

from pellucid.encoder.fingerprint import Fingerprint
from pellucid.engines.native import maxsim
from pellucid.search.pointer import Identity
from pellucid.search.rows import Row
from pellucid.search.store import Store
from pellucid.search.vector_kinds.base import Question
from pellucid.search.vector_kinds.multi_vector import MultiVectorQuestion
from pellucid.search.vector_kinds.sparse import SparseQuestion
from pellucid.sparse_vectors import SparseVectors
from pellucid.tables.vector_columns import multi_vector_column, sparse_column
from pellucid.types import Int32, MultiVectors

CHUNKS_PER_STAGE = 1000
SEARCHES = 10
CHUNKS = {"sparse": 100_000, "multi-vector": 10_000}
VOCABULARY = 30_522
TERMS, QUERY_TERMS = (100, 250), 25
"""How many terms a chunk and a query have."""
WIDTH = 128
TOKENS, QUERY_TOKENS = (60, 180), 32
"""How many vectors a chunk and a query have."""


def main() -> None:
    """Print the figures; times are in seconds, sizes in MB."""
    parser = argparse.ArgumentParser(description="Measure how long searches take that read all vectors.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            **machine.describe_run("random vectors"),
            **{task: measured(Path(folder, task), task) for task in CHUNKS},
        }
    machine.write_figures(figures, arguments.json)


def measured(folder: Path, task: str) -> dict[str, Any]:
    """Make an index in one process, and search it in another, whose memory shows what a search takes."""
    for work in (build, search):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            figures: dict[str, Any] = pool.submit(work, folder, task).result()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {"chunks": CHUNKS[task], "on disk": size / 1e6, **figures}


def build(folder: Path, task: str) -> dict[str, Any]:
    """Make an index of random vectors."""
    generator = np.random.default_rng(0)
    dimensions = VOCABULARY if task == "sparse" else WIDTH
    store = Store(
        folder, Identity("m", Fingerprint("m", "native", "float32", "cpu", "", {}, task), dimensions, "text"), None
    )
    for start in range(0, CHUNKS[task], CHUNKS_PER_STAGE):
        numbers = range(start, start + CHUNKS_PER_STAGE)
        rows = [Row(f"{n // 10}.txt", "", 1, 1, "", n, n + 1, 1, 1, f"text {n} " * 60, str(n)) for n in numbers]
        if task == "sparse":
            vectors = sparse_column(sparse_vectors(generator, between(generator, TERMS, len(rows))))
        else:
            vectors = multi_vector_column(multi_vectors(generator, between(generator, TOKENS, len(rows))))
        store.stage(rows, vectors)
    store.commit([])
    return {}


def search(folder: Path, task: str) -> dict[str, Any]:
    """Search it. Besides the time that passes, there is the time of the processor, which other work delays less."""
    generator = np.random.default_rng(1)
    question: Question
    if task == "sparse":
        question = SparseQuestion(sparse_vectors(generator, np.array([QUERY_TERMS], np.int32)))
    else:
        question = MultiVectorQuestion(multi_vectors(generator, np.array([QUERY_TOKENS], np.int32)).vectors, maxsim)
    store = Store.open(folder)
    store.count()
    before = peak()
    passed, busy = [], []
    for _ in range(SEARCHES):
        starts = time.perf_counter(), time.process_time()
        store.rank(question, 10)
        passed.append(time.perf_counter() - starts[0])
        busy.append(time.process_time() - starts[1])
    return {
        "a search": statistics.median(passed),
        "its processor time": statistics.median(busy),
        "its memory": peak() - before,
    }


def peak() -> float:
    """The most memory that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def between(generator: np.random.Generator, bounds: tuple[int, int], count: int) -> Int32:
    """So many numbers between two bounds."""
    return generator.integers(*bounds, count).astype(np.int32)


def sparse_vectors(generator: np.random.Generator, counts: Int32) -> SparseVectors:
    """Sparse vectors that have so many numbers each."""
    indices = [np.sort(generator.choice(VOCABULARY, count, replace=False)) for count in counts]
    offsets = np.append(0, np.cumsum(counts)).astype(np.int32)
    values = generator.random(offsets[-1], dtype=np.float32)
    return SparseVectors(np.concatenate(indices).astype(np.int32), values, offsets, VOCABULARY)


def multi_vectors(generator: np.random.Generator, counts: Int32) -> MultiVectors:
    """So many vectors of unit length for each text."""
    offsets = np.append(0, np.cumsum(counts)).astype(np.int32)
    vectors = generator.standard_normal((offsets[-1], WIDTH), dtype=np.float32)
    return MultiVectors(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), offsets)


if __name__ == "__main__":
    main()
