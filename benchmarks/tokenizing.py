"""Measures tokenizing with the table of words, without it, and by the tokenizers library alone, in turns::

    .venv/bin/python benchmarks/tokenizing.py --write results/NAME.json

"library" is one call of ``encode_batch_fast`` with all texts, on all the library's threads, whose result is left as it
is. "without" is Pellucid as it tokenizes for models that the table does not serve, and "table" with the table.

Each number of threads gets its own process, because the library starts its threads once. Pellucid has as many. In each
round, each of the three does each workload once. All give the same ids.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import machine
import texts

SHORT, COLD, LONG, NOISE, QUERIES, PAIRS = 10_000, 2_000, 1_000, 2_000, 200, 5_000
ENDLESS, ENDLESS_CHARACTERS = 10, 300_000
SIDES = ("table", "without", "library")


@dataclass(frozen=True)
class Workload:
    """What is tokenized.

    Attributes:
        inputs: texts, or pairs of them.
        prompt: goes before each text.
        keep_end: cut texts at their start.
        is_new: with a new tokenizer, whose table is empty.
        callers: from how many threads of Python, each with a share of the texts.
        repeat: how often in a row; the shortest time counts.
    """

    inputs: list[Any]
    prompt: str = ""
    keep_end: bool = False
    is_new: bool = False
    callers: int = 1
    repeat: int = 1


def workloads(threads: int) -> dict[str, Workload]:
    short, long = texts.many(SHORT), texts.long(LONG)
    rng = random.Random(texts.SEED)  # noqa: S311  not a secret
    endless = "\n".join(texts.short(4_000))
    return {
        "short": Workload(short),
        "short, with a prompt": Workload(short, prompt="search_document: "),
        "short, from as many callers as threads": Workload(short, callers=threads),
        "short, in the first call": Workload(texts.short(COLD), is_new=True),
        "noise, in the first call": Workload([_noise(rng) for _ in range(NOISE)], is_new=True),
        "long": Workload(long),
        "long, cut at the start": Workload(long, keep_end=True),
        "endless": Workload([endless[n : n + ENDLESS_CHARACTERS] for n in range(ENDLESS)]),
        "pairs": Workload([(texts.QUERY, text) for text in short[:PAIRS]]),
        "query": Workload([texts.QUERY], repeat=QUERIES),
        "query, with a special token": Workload([texts.QUERY.replace("cat", "[MASK]")], repeat=QUERIES),
    }


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
        command = [sys.executable, __file__, "--worker", str(threads), "--model", args.model]
        command += ["--rounds", str(args.rounds)]
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        figures[f"{threads} threads"] = json.loads(subprocess.check_output(command, env=environment, text=True))
    machine.write_figures(figures, args.write)


def measure(model: str, threads: int, rounds: int) -> dict[str, Any]:
    from pellucid import Embedder

    embedder = Embedder(model, threads=threads)
    figures: dict[str, Any] = {}
    for name, work in workloads(threads).items():
        runs = {side: _runner(side, embedder, work) for side in SIDES}
        given = {side: list(map(list, runs[side]()())) for side in SIDES}
        if not given["table"] == given["without"] == given["library"]:
            raise SystemExit(f"{name}: the ids differ")
        seconds: dict[str, list[float]] = {side: [] for side in SIDES}
        for number in range(rounds):
            for place in range(len(SIDES)):
                side = SIDES[(number + place) % len(SIDES)]
                seconds[side].append(_seconds(runs[side](), work))
        figures[name] = {"texts": len(work.inputs), "tokens": _count(embedder, work), **seconds}
        figures[name] |= {
            f"{side} against the library": _ratio(seconds["library"], seconds[side]) for side in ("table", "without")
        }
    return figures


def _ratio(slow: list[float], fast: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 2)


def _seconds(run: Callable[[], Any], work: Workload) -> float:
    seconds = []
    for _ in range(work.repeat):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _count(embedder: Any, work: Workload) -> int:
    """How many tokens there are to find, before any is cut off."""
    whole = [text for item in work.inputs for text in (item if isinstance(item, tuple) else (work.prompt + item,))]
    return int(embedder.tokenizer.count(whole).sum())


def _runner(side: str, embedder: Any, work: Workload) -> Callable[[], Callable[[], Any]]:
    """A function that makes what is timed: with a new tokenizer each time, or with the same."""
    tokenizer = _tokenizer(side, embedder, work)

    def run() -> Callable[[], Any]:
        used = _tokenizer(side, embedder, work) if work.is_new else tokenizer
        return lambda: _share(work, _by_library(used, work) if side == "library" else _by_pellucid(used, work))

    return run


def _tokenizer(side: str, embedder: Any, work: Workload) -> Any:
    from pellucid.text.tokenizer import Tokenizer

    spec = replace(embedder.spec.tokenizer, truncation_side="left" if work.keep_end else "right")
    tokenizer = Tokenizer(embedder.files, spec, embedder.spec.encoder, embedder.engine.threads)
    if side == "without":
        tokenizer._words = None
    if side == "library":
        backend = tokenizer._library._backend
        backend.enable_truncation(spec.max_tokens, direction=spec.truncation_side)
        return backend
    return tokenizer


class _Ids:
    """Encodings, whose ids are only read where they are compared."""

    def __init__(self, encodings: Any) -> None:
        self.encodings = encodings

    def __iter__(self) -> Iterator[list[int]]:
        return (encoding.ids for encoding in self.encodings)


def _by_library(backend: Any, work: Workload) -> Callable[[list[Any]], Any]:
    return lambda some: _Ids(backend.encode_batch_fast([work.prompt + s for s in some] if work.prompt else some))


def _by_pellucid(tokenizer: Any, work: Workload) -> Callable[[list[Any]], Any]:
    from pellucid.text.pairs import PairTexts, join_pairs

    def pairs(some: list[Any]) -> Any:
        found = PairTexts.of(some)
        plain, options = tokenizer.tokenize_plain(found.texts), {"keep_end": work.keep_end, "has_segments": True}
        most = tokenizer.spec.max_tokens
        return join_pairs(plain, found.firsts, found.seconds, tokenizer.pair_template, most, **options)[0]

    if isinstance(work.inputs[0], tuple):
        return pairs
    return lambda some: tokenizer.tokenize(some, work.prompt)[0]


def _share(work: Workload, tokenize: Callable[[list[Any]], Any]) -> Any:
    if work.callers == 1:
        return tokenize(work.inputs)
    size = -(-len(work.inputs) // work.callers)
    parts = [work.inputs[start : start + size] for start in range(0, len(work.inputs), size)]
    with ThreadPoolExecutor(work.callers) as pool:
        return [ids for part in pool.map(tokenize, parts) for ids in part]


def _noise(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("etaoinshrdlu", k=rng.randint(3, 8))) for _ in range(20))


if __name__ == "__main__":
    main()
