"""Measures how long a hit and a miss of the embedding cache take.

Run it with Pellucid's own Python, on an otherwise idle machine::

    .venv/bin/python benchmarks/caching.py --json benchmarks/results/latest-caching.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import texts

from pellucid import Embedder

TEXTS = 20_000


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Measure hits and misses of the embedding cache.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    workload = texts.many(TEXTS)
    misses, hits, single = [], [], []
    plain = Embedder(arguments.model, dtype="int8", on_truncation="cut")
    plain.embed_documents(workload[:2000])
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            cached = Embedder(arguments.model, dtype="int8", on_truncation="cut", cache=Path(folder, str(number)))
            cached.embed_query("The first use reads the model's files once more, for their digest.")
            part = workload[: TEXTS // 5]
            miss_seconds = seconds(lambda: cached.embed_documents(part))  # noqa: B023
            misses.append(miss_seconds / seconds(lambda: plain.embed_documents(part)))  # noqa: B023
            cached.embed_documents(workload)
            hits.append(seconds(lambda: cached.embed_documents(workload)) / TEXTS)  # noqa: B023
            single.append(statistics.median(seconds(lambda: cached.embed_query(workload[7])) for _ in range(200)))  # noqa: B023
    figures: dict[str, Any] = {
        **machine.describe_run(arguments.model),
        "texts": TEXTS,
        "hit in batches, microseconds a text": [1e6 * hit for hit in hits],
        "hit alone, microseconds": [1e6 * hit for hit in single],
        "all missed, beside no cache, int8": misses,
        "median hit in batches, microseconds a text": 1e6 * statistics.median(hits),
        "median hit alone, microseconds": 1e6 * statistics.median(single),
        "median all missed, beside no cache, int8": statistics.median(misses),
    }
    machine.write_figures(figures, arguments.json)


def seconds(call: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
