"""Runs the workloads: every contender gets the same texts, in turn, and all raw times are kept."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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


def throughput(setup: Setup, inputs: Sequence[str], *, rounds: int, one_by_one: bool = False) -> dict[str, Any]:
    """Embed the same texts with each contender, once per round, in an order that rotates.

    Args:
        setup: how to start the contenders.
        inputs: the texts.
        rounds: how many rounds to measure.
        one_by_one: True to measure the latency of a single text, with several calls per round.
    """
    result: dict[str, Any] = {"texts": _describe_texts(inputs, setup), "contenders": {}, "skipped": {}, "peaks": []}
    with _running(setup, result["skipped"], latency=one_by_one) as workers:
        vectors = _vectors(workers, inputs, result["skipped"])  # This also warms up all contenders.
        for name, worker in workers.items():
            result["contenders"][name] = {"load_seconds": worker.loaded["seconds"], "seconds": []}
            if BASELINE in vectors:
                result["contenders"][name]["lowest_cosine"] = _lowest_cosine(vectors[name], vectors[BASELINE])
        for i in range(rounds):
            for name in _rotate(list(workers), i):
                repeat = QUERIES_PER_ROUND if one_by_one else 1
                answer = workers[name].ask(do="embed", texts=inputs, repeat=repeat)
                contender_result = result["contenders"][name]
                contender_result["seconds"].append(answer["seconds"])
                contender_result["peak_rss_mb"] = answer["rss_mb"]
                log(f"  round {i + 1}  {name:22} {float(np.median(answer['seconds'])):9.4f} s")
            if "pellucid" in workers and not one_by_one:
                result["peaks"].append(workers["pellucid"].ask(do="peaks"))
    return result


def cold(setup: Setup, rounds: int) -> dict[str, Any]:
    """Measure the time from the start of a process to its first vector."""
    result: dict[str, Any] = {"contenders": {}, "skipped": {}}
    for i in range(-1, rounds):  # Round -1 does not count, because it reads the files from disk.
        for name in _rotate([name for name in setup if name not in result["skipped"]], i):
            try:
                times = cold_start(name, setup[name])
            except ContenderError as error:
                result["skipped"][name] = str(error)
                continue
            if i >= 0:
                result["contenders"].setdefault(name, []).append(times)
                log(f"  round {i + 1}  {name:22} {times['first_vector']:9.4f} s")
    return result


def growth(setup: Setup, sizes: Sequence[int]) -> dict[str, Any]:
    """Measure Pellucid with growing inputs. Each size gets a new process, because peak memory never goes down."""
    result: dict[str, Any] = {"texts": {}, "contenders": {}, "skipped": {}}
    ours = {name: setting for name, setting in setup.items() if name.startswith("pellucid")}
    for n in sizes:
        inputs = texts.many(n)
        result["texts"][str(n)] = _describe_texts(inputs, setup)
        for name, setting in ours.items():
            with _running({name: setting}, result["skipped"]) as workers:
                for worker in workers.values():
                    worker.ask(do="embed", texts=inputs[:32])
                    answer = worker.ask(do="embed", texts=inputs)
                    result["contenders"].setdefault(name, {})[str(n)] = answer
                    log(f"  {n:7,} texts  {name:22} {answer['seconds'][0]:9.4f} s")
    return result


def scaling(setup: Setup, counts: Sequence[int], inputs: Sequence[str], rounds: int) -> dict[str, Any]:
    """Measure texts, and a query, with each number of threads that this machine has cores for."""
    result: dict[str, Any] = {"threads": {}, "skipped": {}}
    for threads in (count for count in counts if count <= len(os.sched_getaffinity(0))):
        log(f"  {threads} threads")
        chosen = {name: replace(setting, threads=threads) for name, setting in setup.items()}
        texts_result = throughput(chosen, inputs, rounds=rounds)
        query_result = throughput(chosen, texts.query(), rounds=rounds, one_by_one=True)
        result["threads"][str(threads)] = {"texts": texts_result, "query": query_result}
        result["skipped"] |= texts_result["skipped"] | query_result["skipped"]
    return result


def tokenizing(setup: Setup, counts: Sequence[int], rounds: int) -> dict[str, Any]:
    """Measure tokenizing alone, for Pellucid and the tokenizers library, in tokenizing.py's own processes."""
    ours = next((setting for name, setting in setup.items() if name.startswith("pellucid")), None)
    if ours is None:
        return {"skipped": {"pellucid": "tokenizing needs a Pellucid among the contenders"}}
    command = [ours.python, str(Path(__file__).parent / "tokenizing.py"), "--model", str(ours.model)]
    command += ["--rounds", str(rounds), "--threads", *(str(count) for count in counts)]
    return {**json.loads(subprocess.check_output(command, text=True)), "skipped": {}}


@contextlib.contextmanager
def _running(setup: Setup, skipped: dict[str, str], *, latency: bool = False) -> Iterator[dict[str, Contender]]:
    """Start the contenders. For each one that cannot start, ``skipped`` gets the reason."""
    with contextlib.ExitStack() as stack:
        workers: dict[str, Contender] = {}
        for name, setting in setup.items():
            try:
                workers[name] = Contender(name, setting, latency=latency)
            except ContenderError as error:
                skipped[name] = str(error)
                log(f"  without {name}: {error}")
            else:
                stack.callback(workers[name].close)
        yield workers


def _vectors(workers: dict[str, Contender], inputs: Sequence[str], skipped: dict[str, str]) -> dict[str, Any]:
    """The vectors of all contenders. One that fails is removed from ``workers``, and ``skipped`` gets the reason."""
    vectors = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in list(workers):
            file = Path(folder) / f"{name}.npy"
            try:
                workers[name].ask(do="embed", texts=inputs, vectors_file=str(file))
            except ContenderError as error:
                skipped[name] = str(error)
                del workers[name]
            else:
                vectors[name] = np.load(file)
    return vectors


def _describe_texts(inputs: Sequence[str], setup: Setup) -> dict[str, Any]:
    """The number of texts and of the tokens that the model reads, and the digest that identifies the texts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(next(iter(setup.values())).converted / "tokenizer" / "tokenizer.json"))
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(list(inputs)))
    return {
        "count": len(inputs),
        "tokens": tokens,
        "mean_tokens": round(tokens / len(inputs), 2),
        "sha256": texts.sha256(inputs),
    }


def _lowest_cosine(ours: Any, theirs: Any) -> float:
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def _rotate(names: list[str], i: int) -> list[str]:
    start = i % max(1, len(names))
    return names[start:] + names[:start]


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _short(setup: Setup, options: Any) -> dict[str, Any]:
    return throughput(setup, texts.short(options.texts), rounds=options.rounds)


def _long(setup: Setup, options: Any) -> dict[str, Any]:
    words = max_tokens(next(iter(setup.values())).model)
    return throughput(setup, texts.long(max(1, options.texts // SHORT_TEXTS_PER_LONG), words), rounds=options.rounds)


def _query(setup: Setup, options: Any) -> dict[str, Any]:
    return throughput(setup, texts.query(), rounds=options.rounds, one_by_one=True)


def _scaling(setup: Setup, options: Any) -> dict[str, Any]:
    chosen = {name: setting for name, setting in setup.items() if name in options.scaling_contenders}
    return scaling(chosen, options.thread_counts, texts.short(options.texts), options.rounds)


def _tokenizing(setup: Setup, options: Any) -> dict[str, Any]:
    return tokenizing(setup, sorted({1, options.threads}), options.rounds)


WORKLOADS: dict[str, Callable[[Setup, Any], dict[str, Any]]] = {
    "short": _short,
    "long": _long,
    "query": _query,
    "cold": lambda setup, options: cold(setup, options.rounds),
    "growth": lambda setup, options: growth(setup, options.growth),
    "tokenizing": _tokenizing,
    "scaling": _scaling,
}
