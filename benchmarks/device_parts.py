"""The measurements of device.py. Each runs in a process of its own, and prints each figure as soon as it has it.

So device.py can end it when its time is up, and keeps what it has printed: lines of JSON, with a key and a value.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import texts

from pellucid import Embedder
from pellucid.engines.native import CPU_VARIABLE, peaks, supported_instruction_sets
from pellucid.engines.registry import check_options
from pellucid.errors import OptionError

DTYPES = ("float32", "bfloat16", "int16", "int8")
THREAD_COUNTS = (1, 2, 4, 8, 16)
EXACT_TEXTS = 24
TEXTS_PER_THREAD = 150
LONG_TEXTS_PER_THREAD = 15
MEASURE_SECONDS = 0.6
QUERY_SECONDS = 0.25
PEAK_SECONDS = 0.2
FEW_THREADS = 2
"""How many threads to compare instruction sets, and the peers, with."""
Figures = Iterator[tuple[str, Any]]
Vectors = npt.NDArray[np.float32]


def exactness(model: str, cores: int) -> Figures:
    """Each dtype's and instruction set's lowest cosine with the reference, and whether threads change bits."""
    inputs = [*texts.short(EXACT_TEXTS), *texts.long(1)]
    exact = Embedder(model, engine="reference", on_truncation="cut").embed_documents(inputs)
    for cpu in supported_instruction_sets():
        for dtype in dtypes():
            vectors = native(model, dtype, cores, cpu).embed_documents(inputs)
            digests = {hashlib.sha256(vectors.tobytes()).hexdigest()}
            for threads in {1, min(3, cores)}:
                digests.add(
                    hashlib.sha256(native(model, dtype, threads, cpu).embed_documents(inputs).tobytes()).hexdigest()
                )
            yield f"{cpu}, {dtype}", {"lowest_cosine": lowest_cosine(vectors, exact), "same_bits": len(digests) == 1}


def threads(model: str, cores: int) -> Figures:
    """Tokens per second of short texts, for each dtype and number of threads."""
    for count in counts(cores):
        inputs = texts.many(TEXTS_PER_THREAD * count)
        for dtype in dtypes():
            yield f"{dtype}, {count}", speed(native(model, dtype, count), inputs)


def long(model: str, cores: int) -> Figures:
    """Tokens per second of texts that are longer than the model reads, for each dtype on one core and on all."""
    for count in sorted({1, cores}):
        inputs = texts.long(LONG_TEXTS_PER_THREAD * count)
        for dtype in dtypes():
            yield f"{dtype}, {count}", speed(native(model, dtype, count), inputs)


def sets(model: str, cores: int) -> Figures:
    """Tokens per second of short texts, for each instruction set and dtype, on two threads."""
    count = min(FEW_THREADS, cores)
    inputs = texts.many(TEXTS_PER_THREAD * count)
    for cpu in supported_instruction_sets()[:-1]:  # The last is "scalar", which nobody waits for.
        for dtype in dtypes():
            yield f"{cpu}, {dtype}, {count}", speed(native(model, dtype, count, cpu), inputs)


def limits(_: str, cores: int) -> Figures:
    """The most that this machine can multiply and add, in GFLOP/s, for each dtype, on two threads and on all."""
    for count in sorted({min(FEW_THREADS, cores), cores}):
        for name, value in peaks(count, seconds=PEAK_SECONDS).items():
            yield f"{name}, {count}", value


def query(model: str, cores: int) -> Figures:
    """The median milliseconds of one query, for each dtype and number of threads."""
    for count in counts(cores):
        for dtype in dtypes():
            embedder = native(model, dtype, count)
            seconds = repeat(lambda e=embedder: e.embed_query(texts.QUERY), QUERY_SECONDS)
            yield f"{dtype}, {count}", 1e3 * float(np.median(seconds))


def peer(model: str, cores: int) -> Figures:
    """The same figures of sentence-transformers on the processor: tokens per second of short texts, and a query."""
    import torch
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(model, device="cpu", model_kwargs={"dtype": torch.float32}, local_files_only=True)
    tokenizer = Embedder(model, on_truncation="cut").tokenizer
    for count in sorted({min(FEW_THREADS, cores), cores}, reverse=True):
        torch.set_num_threads(count)
        inputs = texts.many(64 * count)
        loaded.encode(inputs[:32], batch_size=32, show_progress_bar=False)
        seconds = repeat(lambda i=inputs: loaded.encode(i, batch_size=32, show_progress_bar=False), MEASURE_SECONDS)
        yield f"float32, {count}", int(tokenizer.count(inputs).sum()) / min(seconds)
        seconds = repeat(lambda: loaded.encode(texts.query(), show_progress_bar=False), QUERY_SECONDS)
        yield f"query, {count}", 1e3 * float(np.median(seconds))


PARTS: dict[str, Callable[[str, int], Figures]] = {
    each.__name__: each for each in (exactness, threads, query, sets, limits, long, peer)
}


def native(model: str, dtype: str, count: int, cpu: str | None = None) -> Embedder:
    """An embedder on the native engine with a number of threads and an instruction set."""
    os.environ.pop(CPU_VARIABLE, None)
    if cpu is not None:
        os.environ[CPU_VARIABLE] = cpu
    return Embedder(model, engine="native", dtype=dtype, threads=count, on_truncation="cut")


@functools.cache
def dtypes() -> list[str]:
    """Those of :data:`DTYPES` that the native engine of this commit has."""
    found = []
    for dtype in DTYPES:
        with contextlib.suppress(OptionError):
            check_options("native", dtype=dtype, device="cpu", threads=None)
            found.append(dtype)
    return found


def counts(cores: int) -> list[int]:
    return [count for count in THREAD_COUNTS if count <= cores]


def speed(embedder: Embedder, inputs: list[str]) -> float:
    """The tokens per second of the fastest call."""
    embedder.embed_documents(inputs[:32])
    seconds = repeat(lambda: embedder.embed_documents(inputs), MEASURE_SECONDS)
    tokens = np.minimum(embedder.tokenizer.count(inputs), embedder.max_tokens)
    return int(tokens.sum()) / min(seconds)


def repeat(call: Callable[[], Any], least: float) -> list[float]:
    """The seconds of each of several calls, which together take at least this long."""
    seconds: list[float] = []
    while sum(seconds) < least:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def lowest_cosine(ours: Vectors, exact: Vectors) -> float:
    return float((ours.astype(np.float64) * exact).sum(axis=1).min())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("model", help="the model's folder")
    args = parser.parse_args()
    for key, value in PARTS[args.part](args.model, len(os.sched_getaffinity(0))):
        print(json.dumps([key, value]), flush=True)


if __name__ == "__main__":
    main()
