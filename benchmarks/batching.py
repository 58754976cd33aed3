"""Measures `pellucid batch`: its speed from Parquet to Parquet, its memory, and its speed on a Ray cluster.

Run it with Pellucid's own Python, on an otherwise idle machine::

    .venv/bin/python benchmarks/batching.py --json benchmarks/results/latest-batching.json

To measure the memory for millions of rows, the engine returns vectors without computing them. All other work is real.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import texts

from pellucid import Embedder
from pellucid.batch import runner as job
from pellucid.batch.embedding import EmbedOptions

ROWS = 20_000
ROWS_PER_GROUP = 65_536


def main() -> None:
    """Print the figures; times are in seconds, memory in MB."""
    parser = argparse.ArgumentParser(description="Measure the speed and memory of batch jobs.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[100_000, 10_000_000], help="row counts of the jobs")
    parser.add_argument("--ray", action="store_true", help="also measure a Ray cluster on this machine")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        **machine.describe_run(arguments.model),
        "rows": ROWS,
    }
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "int8"):
            figures[dtype] = throughput(arguments.model, dtype, arguments.rounds, Path(folder), ray=arguments.ray)
        figures["memory"] = [memory(arguments.model, rows, Path(folder)) for rows in arguments.memory]
    machine.write_figures(figures, arguments.json)


def throughput(model: str, dtype: str, rounds: int, folder: Path, *, ray: bool) -> dict[str, Any]:
    """Embed distinct texts in turns: in memory, with the library alone; as a job here; and as a job on a cluster."""
    workload = texts.many(ROWS)
    source = folder / "in.parquet"
    pq.write_table(pa.table({"id": np.arange(ROWS), "text": workload}), source)
    embedder = Embedder(model, dtype=dtype, on_truncation="cut")
    embedder.embed_documents(workload[:2000])
    seconds_of: dict[str, list[float]] = {"library": [], "job": [], **({"ray": []} if ray else {})}
    engine_busy = []
    with cluster() if ray else contextlib.nullcontext():
        if ray:  # This starts the cluster's processes.
            run_job(source, folder, embedder, ray_executor())
        for _ in range(rounds):
            start = time.perf_counter()
            embedder.embed_documents(workload)
            seconds_of["library"].append(time.perf_counter() - start)
            seconds, report = run_job(source, folder, embedder, None)
            seconds_of["job"].append(seconds)
            engine_busy.append(report.engine_busy)
            if ray:
                seconds_of["ray"].append(run_job(source, folder, embedder, ray_executor())[0])
    figures: dict[str, Any] = {"seconds": seconds_of, "engine_busy": engine_busy}
    for name in set(seconds_of) - {"library"}:
        ratios = [alone / whole for alone, whole in zip(seconds_of["library"], seconds_of[name], strict=True)]
        figures[f"median speed of {name}, beside the library"] = statistics.median(ratios)
    return figures


def run_job(source: Path, folder: Path, embedder: Embedder, executor: Any) -> tuple[float, job.Report]:
    """Run a whole job, with the survey of its input. Returns its time in seconds and its report."""
    out = folder / "out"
    start = time.perf_counter()
    report = job.run([str(source)], out, embedder, EmbedOptions(rows_per_file=2048), executor=executor)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return seconds, report


def ray_executor() -> Any:
    from pellucid.batch.ray import Cluster

    return Cluster()


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """Run a Ray cluster on this machine inside the ``with`` block."""
    import ray

    ray.init(address="local", log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def memory(model: str, rows: int, folder: Path) -> dict[str, Any]:
    """The peak memory of a job with this many rows. It runs in a new process, with an engine that computes nothing."""
    source, out = folder / f"in-{rows}.parquet", folder / "out"
    write_table(source, rows)
    process = subprocess.run(
        [sys.executable, __file__, "--one-job", model, str(source), str(out)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    shutil.rmtree(out)
    source.unlink()
    return {"rows": rows, **json.loads(process.stdout)}


def write_table(source: Path, rows: int) -> None:
    """Write a table of distinct texts, one row group at a time."""
    pattern = texts.short()
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(source, schema) as writer:
        for start in range(0, rows, ROWS_PER_GROUP):
            numbers = range(start, min(start + ROWS_PER_GROUP, rows))
            batch = [f"{number} {pattern[number % len(pattern)][:60]}" for number in numbers]
            writer.write_table(pa.table({"id": list(numbers), "text": batch}, schema=schema))


def run_memory_job(model: str, source: str, out: str) -> None:
    """Run the job of :func:`memory` in this process, and print its figures."""
    embedder = Embedder(model, on_truncation="cut", threads=1)
    embedder.embed_documents(texts.short()[:2000])
    hidden = embedder.spec.encoder.hidden_size
    embedder.engine.token_vectors = lambda batch: np.ones((len(batch.ids), hidden), dtype=np.float32)  # type: ignore[method-assign]
    report = job.run([source], Path(out), embedder, EmbedOptions())
    print(json.dumps({"peak_rss_mb": report.peak_rss_mb, "seconds": report.seconds, "parts": report.parts}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one-job"]:
        run_memory_job(*sys.argv[2:])
    else:
        main()
