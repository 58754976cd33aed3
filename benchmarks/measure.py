"""The workloads at work: the same texts to every contender, in turn, with all raw times kept."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import texts
from contenders import BASELINE
from convert import max_tokens
from process import Contender, ContenderError, Setting, cold_start

QUERIES_PER_ROUND = 30
SHORT_TEXTS_PER_LONG = 10
"""A long text has about ten times the tokens of a short one."""
Setup = dict[str, Setting]
"""How to start each contender."""


def throughput(setup: Setup, chosen: Sequence[str], *, rounds: int, one_by_one: bool = False) -> dict[str, Any]:
    """The same texts to each contender once a round, whose order rotates; ``one_by_one`` is for a query's latency."""
    measured: dict[str, Any] = {"texts": _describe(chosen, setup), "contenders": {}, "skipped": {}, "peaks": []}
    with _started(setup, measured["skipped"], latency=one_by_one) as workers:
        vectors = _vectors(workers, chosen, measured["skipped"])  # Which warms everything up, too.
        for name, worker in workers.items():
            measured["contenders"][name] = {"load_seconds": worker.loaded["seconds"], "seconds": []}
            if BASELINE in vectors:
                measured["contenders"][name]["lowest_cosine"] = _lowest_cosine(vectors[name], vectors[BASELINE])
        for i in range(rounds):
            for name in _rotated(list(workers), i):
                repeat = QUERIES_PER_ROUND if one_by_one else 1
                answer = workers[name].ask(do="embed", texts=chosen, repeat=repeat)
                of_contender = measured["contenders"][name]
                of_contender["seconds"].append(answer["seconds"])
                of_contender["peak_rss_mb"] = answer["rss_mb"]
                say(f"  round {i + 1}  {name:22} {float(np.median(answer['seconds'])):9.4f} s")
            if "pellucid" in workers and not one_by_one:
                measured["peaks"].append(workers["pellucid"].ask(do="peaks"))
    return measured


def cold(setup: Setup, rounds: int) -> dict[str, Any]:
    """From the start of a process to its first vector."""
    measured: dict[str, Any] = {"contenders": {}, "skipped": {}}
    for i in range(-1, rounds):  # The first is thrown away: it reads the files from disk.
        for name in _rotated([name for name in setup if name not in measured["skipped"]], i):
            try:
                times = cold_start(name, setup[name])
            except ContenderError as error:
                measured["skipped"][name] = str(error)
                continue
            if i >= 0:
                measured["contenders"].setdefault(name, []).append(times)
                say(f"  round {i + 1}  {name:22} {times['first_vector']:9.4f} s")
    return measured


def growth(setup: Setup, sizes: Sequence[int]) -> dict[str, Any]:
    """Each size in a fresh process, because a process's peak memory never goes down again."""
    measured: dict[str, Any] = {"texts": {}, "contenders": {}, "skipped": {}}
    ours = {name: setting for name, setting in setup.items() if name.startswith("pellucid")}
    for n in sizes:
        chosen = texts.many(n)
        measured["texts"][str(n)] = _describe(chosen, setup)
        for name, setting in ours.items():
            with _started({name: setting}, measured["skipped"]) as workers:
                for worker in workers.values():
                    worker.ask(do="embed", texts=chosen[:32])
                    answer = worker.ask(do="embed", texts=chosen)
                    measured["contenders"].setdefault(name, {})[str(n)] = answer
                    say(f"  {n:7,} texts  {name:22} {answer['seconds'][0]:9.4f} s")
    return measured


@contextlib.contextmanager
def _started(setup: Setup, skipped: dict[str, str], *, latency: bool = False) -> Iterator[dict[str, Contender]]:
    """All that can start; who cannot is written to ``skipped`` with the reason."""
    with contextlib.ExitStack() as stack:
        workers: dict[str, Contender] = {}
        for name, setting in setup.items():
            try:
                workers[name] = Contender(name, setting, latency=latency)
            except ContenderError as error:
                skipped[name] = str(error)
                say(f"  without {name}: {error}")
            else:
                stack.callback(workers[name].close)
        yield workers


def _vectors(workers: dict[str, Contender], chosen: Sequence[str], skipped: dict[str, str]) -> dict[str, Any]:
    """Everyone's vectors; who gives none is taken out."""
    vectors = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in list(workers):
            file = Path(folder) / f"{name}.npy"
            try:
                workers[name].ask(do="embed", texts=chosen, vectors_file=str(file))
            except ContenderError as error:
                skipped[name] = str(error)
                del workers[name]
            else:
                vectors[name] = np.load(file)
    return vectors


def _describe(chosen: Sequence[str], setup: Setup) -> dict[str, Any]:
    """How many tokens the model reads of the texts, and what says that they are the same texts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(next(iter(setup.values())).converted / "tokenizer" / "tokenizer.json"))
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(list(chosen)))
    return {
        "count": len(chosen),
        "tokens": tokens,
        "mean_tokens": round(tokens / len(chosen), 2),
        "sha256": texts.sha256(chosen),
    }


def _lowest_cosine(ours: Any, theirs: Any) -> float:
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def _rotated(names: list[str], i: int) -> list[str]:
    start = i % max(1, len(names))
    return names[start:] + names[:start]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _short(setup: Setup, options: Any) -> dict[str, Any]:
    return throughput(setup, texts.short(options.texts), rounds=options.rounds)


def _long(setup: Setup, options: Any) -> dict[str, Any]:
    words = max_tokens(next(iter(setup.values())).model)
    return throughput(setup, texts.long(max(1, options.texts // SHORT_TEXTS_PER_LONG), words), rounds=options.rounds)


def _query(setup: Setup, options: Any) -> dict[str, Any]:
    return throughput(setup, texts.query(), rounds=options.rounds, one_by_one=True)


WORKLOADS: dict[str, Callable[[Setup, Any], dict[str, Any]]] = {
    "short": _short,
    "long": _long,
    "query": _query,
    "cold": lambda setup, options: cold(setup, options.rounds),
    "growth": lambda setup, options: growth(setup, options.growth),
}
