"""What `pellucid batch` costs beside the arithmetic: from Parquet to Parquet, its memory, and a cluster of Ray.

Run it with Pellucid's own Python, on a machine that has nothing else to do::

    .venv/bin/python benchmarks/batching.py --json benchmarks/results/latest-batching.json

The memory for millions of rows is measured with an engine that gives vectors without computing them: all else is done.
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
from pellucid.batch.parts import JobOptions

ROWS = 20_000
ROWS_PER_GROUP = 65_536


def main() -> None:
    """Print the figures; times are in seconds, memory in MB."""
    parser = argparse.ArgumentParser(description="What a batch job costs.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, nargs="*", default=[100_000, 10_000_000], help="numbers of rows")
    parser.add_argument("--ray", action="store_true", help="beside a cluster of this machine, too")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        **machine.about(arguments.model),
        "rows": ROWS,
    }
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "int8"):
            figures[dtype] = throughput(arguments.model, dtype, arguments.rounds, Path(folder), ray=arguments.ray)
        figures["memory"] = [memory(arguments.model, rows, Path(folder)) for rows in arguments.memory]
    machine.tell(figures, arguments.json)


def throughput(model: str, dtype: str, rounds: int, folder: Path, *, ray: bool) -> dict[str, Any]:
    """A table of distinct texts, in turns: the texts alone, in memory; the job here; and the job on a cluster."""
    workload = texts.many(ROWS)
    source = folder / "in.parquet"
    pq.write_table(pa.table({"id": np.arange(ROWS), "text": workload}), source)
    embedder = Embedder(model, dtype=dtype, on_truncation="ignore")
    embedder.embed_documents(workload[:2000])
    ways: dict[str, list[float]] = {"library": [], "job": [], **({"ray": []} if ray else {})}
    busy = []
    with cluster() if ray else contextlib.nullcontext():
        if ray:  # Once, so that its processes are there.
            timed(source, folder, embedder, on_ray())
        for _ in range(rounds):
            start = time.perf_counter()
            embedder.embed_documents(workload)
            ways["library"].append(time.perf_counter() - start)
            seconds, report = timed(source, folder, embedder, None)
            ways["job"].append(seconds)
            busy.append(report.engine_busy)
            if ray:
                ways["ray"].append(timed(source, folder, embedder, on_ray())[0])
    told: dict[str, Any] = {"seconds": ways, "engine_busy": busy}
    for name in set(ways) - {"library"}:
        ratios = [alone / whole for alone, whole in zip(ways["library"], ways[name], strict=True)]
        told[f"median speed of {name}, beside the library"] = statistics.median(ratios)
    return told


def timed(source: Path, folder: Path, embedder: Embedder, executor: Any) -> tuple[float, job.Report]:
    """How long a whole job takes, the survey of its input included."""
    out = folder / "out"
    start = time.perf_counter()
    report = job.run([str(source)], out, embedder, JobOptions(rows_per_file=2048), executor=executor)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    return seconds, report


def on_ray() -> Any:
    from pellucid.batch.ray import Cluster

    return Cluster()


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """A cluster of this machine, for as long as it is needed."""
    import ray

    ray.init(address="local", log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        yield
    finally:
        ray.shutdown()


def memory(model: str, rows: int, folder: Path) -> dict[str, Any]:
    """The most memory that a job of so many rows takes, in a process of its own; its engine computes nothing."""
    source, out = folder / f"in-{rows}.parquet", folder / "out"
    write_many(source, rows)
    done = subprocess.run(
        [sys.executable, __file__, "--one-job", model, str(source), str(out)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    shutil.rmtree(out)
    source.unlink()
    return {"rows": rows, **json.loads(done.stdout)}


def write_many(source: Path, rows: int) -> None:
    """A table of distinct texts, made and written some at a time."""
    pattern = texts.short()
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(source, schema) as writer:
        for start in range(0, rows, ROWS_PER_GROUP):
            numbers = range(start, min(start + ROWS_PER_GROUP, rows))
            some = [f"{number} {pattern[number % len(pattern)][:60]}" for number in numbers]
            writer.write_table(pa.table({"id": list(numbers), "text": some}, schema=schema))


def one_job(model: str, source: str, out: str) -> None:
    """The process of :func:`memory`."""
    embedder = Embedder(model, on_truncation="ignore", threads=1)
    embedder.embed_documents(texts.short()[:2000])
    hidden = embedder.spec.encoder.hidden_size
    embedder.engine.token_vectors = lambda batch: np.ones((len(batch.ids), hidden), dtype=np.float32)  # type: ignore[method-assign]
    report = job.run([source], Path(out), embedder, JobOptions())
    print(json.dumps({"peak_rss_mb": report.peak_rss_mb, "seconds": report.seconds, "parts": report.parts}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one-job"]:
        one_job(*sys.argv[2:])
    else:
        main()
