"""Measures ``semantic_search`` and ``paraphrase_mining_embeddings``, ours and those of sentence-transformers, in turns.

Run it with a Python that has both, on an otherwise idle machine::

    .venv-reference/bin/python benchmarks/vectors.py

Each call runs in a process of its own, which also tells how much memory it took beyond its input.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np

SIDES = {"sentence-transformers": "sentence_transformers.util", "Pellucid": "pellucid.sentence_transformers.util"}
DIMENSIONS, MINED = 384, 100_000
TASKS = {"search, 1 query": 1, "search, 100 queries": 100, "search, 1,000 queries": 1000, "mining": 0}


def main() -> None:
    """Write the raw times to a file, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--corpus", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-vectors.json"))
    parser.add_argument("--run", nargs=2, metavar=("SIDE", "TASK"), help="one call, in this process")
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(*args.run, args.corpus)))
        return
    runs: dict[str, dict[str, list[Any]]] = {task: {side: [] for side in SIDES} for task in TASKS}
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "OPENBLAS_NUM_THREADS": str(args.threads)}
    for number in range(args.rounds):
        for task, sides in runs.items():
            for side, found in sides.items():
                command = [sys.executable, __file__, "--corpus", str(args.corpus), "--run", side, task]
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
                print(f"round {number + 1}, {task}, {side}: {found[-1]['seconds']:.2f} s", file=sys.stderr)
    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "corpus": args.corpus,
        "mined": MINED,
        "dimensions": DIMENSIONS,
    }
    args.output.write_text(json.dumps({**facts, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    for task, sides in runs.items():
        medians = {side: statistics.median(each["seconds"] for each in found) for side, found in sides.items()}
        memory = {side: max(each["extra_bytes"] for each in found) / 1e6 for side, found in sides.items()}
        theirs, ours = (medians[side] for side in SIDES)
        print(f"{task:22} {theirs:7.2f} s {ours:7.2f} s  {theirs / ours:5.2f} x  ", end="")
        print(" ".join(f"{each:7,.0f} MB" for each in memory.values()))


def run(side: str, task: str, corpus_size: int) -> dict[str, Any]:
    """Run one call, and return its seconds, its memory beyond the input, and a number that both sides must agree on."""
    import importlib

    util = importlib.import_module(SIDES[side])
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((corpus_size if TASKS[task] else MINED, DIMENSIONS), dtype=np.float32)
    queries = rng.standard_normal((TASKS[task], DIMENSIONS), dtype=np.float32)
    if side == "sentence-transformers":
        import torch

        vectors, queries = torch.from_numpy(vectors), torch.from_numpy(queries)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if TASKS[task]:
        found = util.semantic_search(queries, vectors, top_k=10)
        checksum = sum(each["score"] for row in found for each in row)
    else:
        found = util.paraphrase_mining_embeddings(vectors)
        checksum = sum(row[0] for row in found)
    seconds = time.perf_counter() - start
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"seconds": seconds, "extra_bytes": extra, "checksum": checksum}


if __name__ == "__main__":
    main()
