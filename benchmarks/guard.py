"""Whether a change made Pellucid much slower or much larger: half a minute, on any machine.

Speed is told as a share: of what the machine's packed matrix product reaches at that moment, how much
``embed_documents`` reaches from text to vector. So it means something on a machine that is slower, or that others use
too. It is held against the lowest that is written down for the same instruction set in ``results/guard.json``: below
60 % of that, or above 130 % of the memory, the guard fails. A loss of a tenth passes; ``make bench`` is for those::

    .venv/bin/python benchmarks/guard.py
    .venv/bin/python benchmarks/guard.py --write   # on a quiet machine: this commit's figures become the base
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
"""Many rounds of a quarter of a second, so that the product and the texts both find a moment when no one else works."""
DTYPES = ("float32", "int16", "int8")
RESULT_BYTES = TEXTS * 384 * 4
AGAIN = 2
"""How often what is out of bounds is measured again: others may have been at work."""
LEAST_SHARE, MOST_MEMORY = 0.6, 1.3
"""Beside the base. Wide, because the machines that test changes have other work to do."""
BASE = Path(__file__).parent / "results" / "guard.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="add this machine's figures to the base")
    parser.add_argument("--dtype", choices=DTYPES, help="measure one, and print it as JSON")
    args = parser.parse_args()
    if args.dtype:
        print(json.dumps(measured(args.dtype, json.load(sys.stdin))))
        return
    chosen = texts.short(TEXTS)
    figures = {dtype: _in_a_process(dtype, chosen) for dtype in DTYPES}
    base = json.loads(BASE.read_text(encoding="utf-8"))
    cpu = figures["float32"]["cpu"]
    if args.write:
        entry = {"cpu": cpu, "commit": machine.commit(), "machine": machine.describe(), "figures": figures}
        BASE.write_text(json.dumps([*base, entry], indent=1) + "\n", encoding="utf-8")
        return
    known = [entry["figures"] for entry in base if entry["cpu"] == cpu]
    if not known:
        print(f"guard.json has no figures for {cpu}: nothing is compared. --write adds them.")
        return
    for _ in range(AGAIN):
        for dtype in [dtype for dtype in DTYPES if wrong(dtype, figures[dtype], known)]:
            figures[dtype] = max(figures[dtype], _in_a_process(dtype, chosen), key=lambda one: one["share"])
    for dtype in DTYPES:
        print(told(dtype, figures[dtype], known))
    sys.exit(any(wrong(dtype, figures[dtype], known) for dtype in DTYPES))


def measured(dtype: str, chosen: list[str]) -> dict[str, Any]:
    """One arithmetic, in this process: the best of the rounds, because only a disturbance makes one worse."""
    from pellucid import Embedder, _native

    embedder = Embedder(MODEL, dtype=dtype, engine="native", on_truncation="ignore")
    cpu, threads = embedder.engine.cpu, embedder.engine.threads
    vectors = embedder.embed_documents(chosen)
    tokens = int(embedder.count_tokens(chosen).clip(max=embedder.max_tokens).sum())
    peak, seconds = 0.0, float("inf")
    for _ in range(ROUNDS):
        peak = max(peak, _native.product_peak(cpu, dtype, threads, PEAK_SECONDS))
        start = time.perf_counter()
        embedder.embed_documents(chosen)
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


def wrong(dtype: str, now: dict[str, Any], known: list[dict[str, Any]]) -> list[str]:
    """What is out of bounds."""
    slow = now["share"] < LEAST_SHARE * _share(dtype, known)
    large = now["peak_rss_mb"] > MOST_MEMORY * _memory(dtype, known)
    return [
        *(["much slower than it was"] if slow else []),
        *(["needs much more memory than it did"] if large else []),
        *(["another size of result"] if now["result_bytes"] != RESULT_BYTES else []),
    ]


def told(dtype: str, now: dict[str, Any], known: list[dict[str, Any]]) -> str:
    """What was measured, beside what is written down."""
    verdict = ", ".join(wrong(dtype, now, known)) or "good"
    return (
        f"{now['cpu']} {dtype:8} {now['tokens_per_second']:7,} tokens/s, {now['share']:.0%} of the product's peak "
        f"(base {_share(dtype, known):.0%}), {now['peak_rss_mb']:.0f} MB (base {_memory(dtype, known):.0f}): {verdict}"
    )


def _share(dtype: str, known: list[dict[str, Any]]) -> float:
    return min(float(entry[dtype]["share"]) for entry in known)


def _memory(dtype: str, known: list[dict[str, Any]]) -> float:
    return max(float(entry[dtype]["peak_rss_mb"]) for entry in known)


def _in_a_process(dtype: str, chosen: list[str]) -> dict[str, Any]:
    """Of its own, because a process's peak memory never goes down again."""
    command = [sys.executable, __file__, "--dtype", dtype]
    return dict(json.loads(subprocess.check_output(command, input=json.dumps(chosen), text=True)))


if __name__ == "__main__":
    main()
