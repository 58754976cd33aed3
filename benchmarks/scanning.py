"""Times exact searches that read all vectors: in an index of sparse vectors, and in one of a vector for each token.

The vectors are random, and as many as real models give. Run it with Pellucid's own Python, on an otherwise idle
machine::

    .venv/bin/python benchmarks/scanning.py --json benchmarks/results/latest-scanning.json
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
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
from pellucid.tables import arrow
from pellucid.tables.vector_columns import multi_vector_column, sparse_column
from pellucid.types import Int32, MultiVectors

CHUNKS_PER_STAGE = 1000
SEARCHES = 10
SPARSE_CHUNKS = 100_000
VOCABULARY = 30_522
TERMS, QUERY_TERMS = (100, 250), 25
"""How many terms a chunk and a query have."""
MULTI_VECTOR_CHUNKS = 10_000
WIDTH = 128
TOKENS, QUERY_TOKENS = (60, 180), 32
"""How many vectors a chunk and a query have."""


def main() -> None:
    """Print the figures; times are in seconds, sizes in MB."""
    parser = argparse.ArgumentParser(description="Measure how long searches take that read all vectors.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            **machine.describe_run("random vectors"),
            "load": os.getloadavg()[0],
            "sparse": searching(
                Path(folder, "sparse"),
                Identity("m", Fingerprint("m", "native", "float32", "cpu", "", {}, "sparse"), VOCABULARY, "text"),
                SPARSE_CHUNKS,
                lambda count: sparse_column(sparse_vectors(generator, between(generator, TERMS, count))),
                SparseQuestion(sparse_vectors(generator, np.array([QUERY_TERMS]))),
            ),
            "multi-vector": searching(
                Path(folder, "multi-vector"),
                Identity("m", Fingerprint("m", "native", "float32", "cpu", "", {}, "multi-vector"), WIDTH, "text"),
                MULTI_VECTOR_CHUNKS,
                lambda count: multi_vector_column(multi_vectors(generator, between(generator, TOKENS, count))),
                MultiVectorQuestion(multi_vectors(generator, np.array([QUERY_TOKENS])).vectors, maxsim),
            ),
        }
    machine.write_figures(figures, arguments.json)


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


def searching(
    folder: Path, identity: Identity, count: int, vectors: Callable[[int], arrow.Column], question: Question
) -> dict[str, Any]:
    """Make an index of so many chunks, and search it."""
    store = Store(folder, identity, None)
    for start in range(0, count, CHUNKS_PER_STAGE):
        numbers = range(start, start + CHUNKS_PER_STAGE)
        rows = [Row(f"{n // 10}.txt", "", 1, 1, "", n, n + 1, 1, 1, f"text {n} " * 60, str(n)) for n in numbers]
        store.stage(rows, vectors(len(rows)))
    store.commit([])
    store.rank(question, 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [seconds(lambda: store.rank(question, 10)) for _ in range(SEARCHES)]
    return {
        "chunks": store.count(),
        "on disk": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6,
        "search": statistics.median(times),
        "fastest": min(times),
        "peak of the process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "higher by": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3,
    }


def seconds(call: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
