"""Measures tokenizing with the table of words, and with the tokenizers library alone, in turns::

    .venv/bin/python benchmarks/tokenizing.py --write results/NAME.json

Each number of threads gets its own process, because the library starts its threads once. In each round, each workload
runs once with the table and once without. "cold" is the first call of a new tokenizer. "noise" are words of random
letters, which the table cannot know. "callers" are as many threads of Python as the library has, with a share of the
short texts each.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import machine
import texts

SHORT, COLD, LONG, NOISE, QUERIES = 100_000, 4_000, 2_000, 4_000, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", type=Path, help="write the figures to this file")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(args.model, args.worker, args.rounds)))
        return
    figures = machine.describe_run(args.model)
    for threads in args.threads:
        command = [
            sys.executable,
            __file__,
            "--worker",
            str(threads),
            "--model",
            args.model,
            "--rounds",
            str(args.rounds),
        ]
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        figures[f"{threads} threads"] = json.loads(subprocess.check_output(command, env=environment, text=True))
    machine.write_figures(figures, args.write)


def measure(model: str, threads: int, rounds: int) -> dict[str, Any]:
    from pellucid import Embedder
    from pellucid.text.tokenizer import Tokenizer

    embedder = Embedder(model)

    def create(with_table: bool) -> Tokenizer:
        tokenizer = Tokenizer(embedder.files, embedder.spec.tokenizer, embedder.spec.encoder)
        if not with_table:
            tokenizer._words = None
        return tokenizer

    warm = {name: create(name == "table") for name in ("table", "library")}
    paragraphs = texts.short(COLD)
    short = texts.many(SHORT)
    rng = random.Random(texts.SEED)  # noqa: S311  not a secret
    inputs = {
        "short": short,
        "cold": paragraphs,
        "long": texts.long(LONG),
        "noise": [_noise(rng) for _ in range(NOISE)],
    }
    inputs |= {"query": [texts.QUERY], "callers": short}
    figures: dict[str, Any] = {name: {"texts": len(some)} for name, some in inputs.items()}
    for name, some in inputs.items():
        batch, _ = warm["library"].tokenize(some)
        if not (batch.ids == warm["table"].tokenize(some)[0].ids).all():
            raise SystemExit("the table gives other ids")
        figures[name]["tokens"] = len(batch.ids)
    for number in range(rounds):
        for workload, some in inputs.items():
            for kind in ("table", "library") if number % 2 else ("library", "table"):
                new = create(kind == "table") if workload in ("cold", "noise") else warm[kind]
                figures[workload].setdefault(kind, []).append(_seconds(new, some, workload, threads))
    for workload in figures.values():
        ratios = [slow / fast for slow, fast in zip(workload["library"], workload["table"], strict=True)]
        for kind in ("table", "library"):
            workload[f"{kind}_tokens_per_second"] = round(workload["tokens"] / statistics.median(workload[kind]))
        workload["speed_up"] = round(statistics.median(ratios), 2)
    figures["words"] = len(warm["table"]._words)
    figures["first_query_microseconds"] = {
        kind: round(1e6 * statistics.median(_first_query(create(kind == "table")) for _ in range(2 * rounds)), 1)
        for kind in ("table", "library")
    }
    return figures


def _noise(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("etaoinshrdlu", k=rng.randint(3, 8))) for _ in range(20))


def _seconds(tokenizer: Any, some: Sequence[str], workload: str, threads: int) -> float:
    if workload == "callers":
        share = len(some) // threads
        with ThreadPoolExecutor(threads) as pool:
            start = time.perf_counter()
            list(pool.map(lambda n: tokenizer.tokenize(some[n * share : (n + 1) * share]), range(threads)))
            return time.perf_counter() - start
    repeat = QUERIES if workload == "query" else 1
    start = time.perf_counter()
    for _ in range(repeat):
        tokenizer.tokenize(some)
    return (time.perf_counter() - start) / repeat


def _first_query(tokenizer: Any) -> float:
    tokenizer.tokenize(["hello"])  # What the first call of all pays is not of interest here.
    start = time.perf_counter()
    tokenizer.tokenize([texts.QUERY])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
