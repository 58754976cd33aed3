"""Checks in half a minute, on any machine, that a change has not made Pellucid much slower or larger.

Speed is a share: the speed of ``embed_documents``, from text to vector, divided by the speed of the packed matrix
product on the same machine at that moment. So the share means something on a slow or shared machine, too. The guard
compares it with the lowest share in ``results/guard.json`` for the same instruction set. It fails if the share is below
60 % of that, or if the memory is above 130 % of the highest there. A loss of a tenth passes; use ``make bench`` to find
one::

    .venv/bin/python benchmarks/guard.py
    .venv/bin/python benchmarks/guard.py --write   # on an idle machine: add this commit's figures to guard.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import machine
import texts
from convert import products_per_token
from worker import peak_rss_mb

MODEL, TEXTS, ROUNDS, PEAK_SECONDS = "all-MiniLM-L6-v2", 250, 12, 0.25
"""There are many rounds of a quarter of a second. So both the product and the texts get a moment without other load."""
DTYPES = ("float32", "int16", "int8")
RESULT_BYTES = TEXTS * 384 * 4
RETRIES = 2
"""How many times to repeat a measurement that is out of bounds. Another process may have disturbed it."""
MIN_SHARE, MAX_MEMORY = 0.6, 1.3
"""The bounds, relative to guard.json. They are wide, because the machines that test changes have other work to do."""
BASE = Path(__file__).parent / "results" / "guard.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="add this machine's figures to guard.json")
    parser.add_argument("--dtype", choices=DTYPES, help="measure only this dtype, and print its figures as JSON")
    args = parser.parse_args()
    if args.dtype:
        print(json.dumps(measure(args.dtype, json.load(sys.stdin))))
        return
    inputs = texts.short(TEXTS)
    figures = {dtype: _measure_in_new_process(dtype, inputs) for dtype in DTYPES}
    base = json.loads(BASE.read_text(encoding="utf-8"))
    cpu = figures["float32"]["cpu"]
    if args.write:
        entry = {"cpu": cpu, "commit": machine.commit(), "machine": machine.describe(), "figures": figures}
        BASE.write_text(json.dumps([*base, entry], indent=1) + "\n", encoding="utf-8")
        return
    base_runs = [entry["figures"] for entry in base if entry["cpu"] == cpu]
    if not base_runs:
        print(f"guard.json has no figures for {cpu}, so there is nothing to compare with. --write adds them.")
        return
    for _ in range(RETRIES):
        for dtype in [dtype for dtype in DTYPES if find_problems(dtype, figures[dtype], base_runs)]:
            figures[dtype] = max(figures[dtype], _measure_in_new_process(dtype, inputs), key=lambda run: run["share"])
    for dtype in DTYPES:
        print(describe(dtype, figures[dtype], base_runs))
    sys.exit(any(find_problems(dtype, figures[dtype], base_runs) for dtype in DTYPES))


def measure(dtype: str, inputs: list[str]) -> dict[str, Any]:
    """Measure one dtype in this process. The best round counts, because disturbances only make rounds worse."""
    from pellucid import Embedder, _native

    embedder = Embedder(MODEL, dtype=dtype, engine="native", on_truncation="cut")
    cpu, threads = embedder.engine.cpu, embedder.engine.threads
    vectors = embedder.embed_documents(inputs)
    tokens = int(embedder.count_tokens(inputs).clip(max=embedder.max_tokens).sum())
    peak, seconds = 0.0, float("inf")
    for _ in range(ROUNDS):
        peak = max(peak, _native.product_peak(cpu, dtype, threads, PEAK_SECONDS))
        start = time.perf_counter()
        embedder.embed_documents(inputs)
        seconds = min(seconds, time.perf_counter() - start)
    gflops = products_per_token(embedder.files.folder) * tokens / seconds / 1e9
    return {
        "cpu": cpu,
        "tokens_per_second": round(tokens / seconds),
        "gflops": round(gflops, 1),
        "peak_gflops": round(peak, 1),
        "share": round(gflops / peak, 3),
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "result_bytes": vectors.nbytes,
    }


def find_problems(dtype: str, now: dict[str, Any], base_runs: list[dict[str, Any]]) -> list[str]:
    """The reasons why figures are out of bounds."""
    slow = now["share"] < MIN_SHARE * _base_share(dtype, base_runs)
    large = now["peak_rss_mb"] > MAX_MEMORY * _base_memory(dtype, base_runs)
    return [
        *(["much slower than before"] if slow else []),
        *(["needs much more memory than before"] if large else []),
        *(["the result has a different size"] if now["result_bytes"] != RESULT_BYTES else []),
    ]


def describe(dtype: str, now: dict[str, Any], base_runs: list[dict[str, Any]]) -> str:
    """A line with the figures, those of guard.json, and the verdict."""
    verdict = ", ".join(find_problems(dtype, now, base_runs)) or "good"
    base_share, base_memory = _base_share(dtype, base_runs), _base_memory(dtype, base_runs)
    return (
        f"{now['cpu']} {dtype:8} {now['tokens_per_second']:7,} tokens/s, {now['share']:.0%} of the product's peak "
        f"(base {base_share:.0%}), {now['peak_rss_mb']:.0f} MB (base {base_memory:.0f}): {verdict}"
    )


def _base_share(dtype: str, base_runs: list[dict[str, Any]]) -> float:
    return min(float(entry[dtype]["share"]) for entry in base_runs)


def _base_memory(dtype: str, base_runs: list[dict[str, Any]]) -> float:
    return max(float(entry[dtype]["peak_rss_mb"]) for entry in base_runs)


def _measure_in_new_process(dtype: str, inputs: list[str]) -> dict[str, Any]:
    """Measure in a new process, because the peak memory of a process never goes down."""
    command = [sys.executable, __file__, "--dtype", dtype]
    return dict(json.loads(subprocess.check_output(command, input=json.dumps(inputs), text=True)))


if __name__ == "__main__":
    main()
