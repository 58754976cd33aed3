"""Measures SPLADE at the size of BERT-base in turns: sentence-transformers' ``SparseEncoder``, and Pellucid's dtypes.

Run it with a Python that has both, on an otherwise idle machine::

    .venv-reference/bin/python benchmarks/sparse.py

The weights are random, so the numbers mean nothing, but all sides must give the same ones. Of random weights, half are
above 0, where a trained model has one in a hundred; a shift of the bias makes them as rare here.
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
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
import texts
from run import find_folder

BASELINE = "sentence-transformers"
SIDES = (BASELINE, "float32", "int16", "int8")
TOKENS = 128


def main() -> None:
    """Write the raw times to a file, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-sparse.json"))
    parser.add_argument("--run", nargs=2, metavar=("SIDE", "MODEL"), help="one call, in this process")
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(*args.run, args.texts, args.threads)))
        return
    runs: dict[str, list[Any]] = {side: [] for side in SIDES}
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    with tempfile.TemporaryDirectory() as folder:
        write_model(find_folder("all-MiniLM-L6-v2", sys.executable), Path(folder))
        for number in range(args.rounds):
            for side, found in runs.items():
                options = ["--texts", str(args.texts), "--threads", str(args.threads), "--run", side, folder]
                command = [sys.executable, __file__, *options]
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
                print(f"round {number + 1}, {side}: {found[-1]['seconds']:.2f} s", file=sys.stderr)
    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "texts": args.texts,
        "tokens": TOKENS,
        "threads": args.threads,
    }
    args.output.write_text(json.dumps({**facts, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    for side, found in runs.items():
        seconds = statistics.median(each["seconds"] for each in found)
        ratio = statistics.median(b["seconds"] / o["seconds"] for b, o in zip(runs[BASELINE], found, strict=True))
        extra = max(each["extra_bytes"] for each in found) / 1e6
        total = found[0]["sum"] / runs[BASELINE][0]["sum"]
        print(f"{side:22} {args.texts / seconds:7.1f} texts/s {ratio:5.2f} x {extra:7,.0f} MB  sum {total:.4f}")


def write_model(tokenizer: Path, folder: Path) -> None:
    """Write a masked language model with random weights, of which few scores are above 0."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig())
    with torch.no_grad():
        model.cls.predictions.bias.fill_(-2.2)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer, model_max_length=TOKENS).save_pretrained(folder)


def run(side: str, folder: str, count: int, threads: int) -> dict[str, Any]:
    """Run one call, and return its seconds, its memory beyond that of the loaded model, and the sum of all weights."""
    long = texts.long(max(200, count))[:count]
    if side == BASELINE:
        import torch
        from sentence_transformers import SparseEncoder

        torch.set_num_threads(threads)
        model = SparseEncoder(folder, device="cpu")
        call = lambda given: model.encode(given).coalesce().values().sum().item()  # noqa: E731
    else:
        from pellucid import SparseEmbedder

        embedder = SparseEmbedder(folder, dtype=side, threads=threads, on_truncation="cut")
        call = lambda given: float(embedder.embed_documents(given).values.sum(dtype=np.float64))  # noqa: E731
    call(long[:2])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    total = call(long)
    seconds = time.perf_counter() - start
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"seconds": seconds, "extra_bytes": extra, "sum": total}


if __name__ == "__main__":
    main()
