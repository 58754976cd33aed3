"""How long a very large job takes, from what each step of a small one costs: the figures of docs/scale.md.

It measures, on one core, what a row costs to read, to tokenize, to embed and to write; simulates the job on this
machine with them, as three threads that share its cores; and does the job, to see whether the simulation is right.
Run it with Pellucid's own Python, on a machine that has nothing else to do::

    .venv/bin/python benchmarks/scale.py --json benchmarks/results/latest-scale.json
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import texts

from pellucid import Embedder
from pellucid.batch import parts as stages
from pellucid.batch import runner as job
from pellucid.batch.parts import JobOptions
from pellucid.batch.survey import survey
from pellucid.tables.reader import PartReader

ROWS_PER_PART = 1024
AHEAD = 2
"""As in ``pellucid.batch.runner``."""


@dataclass(frozen=True)
class Costs:
    """Of one row, in core-seconds; and its bytes in the files."""

    tokens: float
    read: float
    tokenize: float
    embed: float
    write: float
    bytes_in: float
    bytes_out: float

    @property
    def all(self) -> float:
        """Of one row, on one core, from file to file."""
        return self.read + self.tokenize + self.embed + self.write


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What a billion texts would take.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="name or folder")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        **machine.about(arguments.model),
    }
    workloads = {"short": texts.many(8192), "long": [f"{n} {text}" for n, text in enumerate(texts.long(1024, 180))]}
    with tempfile.TemporaryDirectory() as folder:
        for name, workload in workloads.items():
            for dtype in ("float32", "int8"):
                figures[f"{name}, {dtype}"] = checked(arguments.model, dtype, workload, Path(folder))
    machine.tell(figures, arguments.json)


def checked(model: str, dtype: str, workload: list[str], folder: Path) -> dict[str, Any]:
    """What a row costs, what a job should take with that, and what it takes."""
    source = folder / "in.parquet"
    pq.write_table(pa.table({"id": np.arange(len(workload)), "text": workload}), source)
    measured = costs(model, dtype, source, folder)
    both = Embedder(model, dtype=dtype, on_truncation="ignore")
    both.embed_documents(workload[:512])
    start = time.perf_counter()
    job.run([str(source)], folder / "out", both, JobOptions(rows_per_file=ROWS_PER_PART))
    seconds = time.perf_counter() - start
    shutil.rmtree(folder / "out")
    simulated = simulate(len(workload), measured, cores=2)
    return {
        "costs": asdict(measured),
        "rows": len(workload),
        "seconds measured, 2 cores": seconds,
        "seconds simulated, 2 cores": simulated,
        "simulated beside measured": simulated / seconds,
        "a billion rows, core-hours": measured.all * 1e9 / 3600,
    }


def costs(model: str, dtype: str, source: Path, folder: Path) -> Costs:
    """What each step costs on one core, one step after the other."""
    embedder = Embedder(model, dtype=dtype, threads=1, on_truncation="ignore")
    options = JobOptions(rows_per_file=ROWS_PER_PART)
    surveyed = survey([source], "text", ROWS_PER_PART)
    reader = PartReader(surveyed.schema, "text")
    parts = stages.parts_of(surveyed.files, ROWS_PER_PART)
    out = folder / "costs"
    out.mkdir()
    took = {"read": 0.0, "tokenize": 0.0, "embed": 0.0, "write": 0.0}
    tokens = 0
    stages.embed(stages.prepare(parts[0], reader, embedder, options), embedder, options)
    for part in parts:
        begin = time.process_time()
        PartReader(surveyed.schema, "text").read(part.file, part.start, part.stop, ROWS_PER_PART)
        read = time.process_time()
        prepared = stages.prepare(part, reader, embedder, options)
        tokenized = time.process_time()
        vectors = stages.embed(prepared, embedder, options)
        embedded = time.process_time()
        stages.write(prepared, vectors, options, None, out)
        written = time.process_time()
        took["read"] += read - begin
        took["tokenize"] += max(0.0, (tokenized - read) - (read - begin))
        took["embed"] += embedded - tokenized
        took["write"] += written - embedded
        tokens += len(prepared.tokens.ids)
    rows = survey.files[0].rows
    size = sum(path.stat().st_size for path in out.iterdir())
    shutil.rmtree(out)
    each = {name: seconds / rows for name, seconds in took.items()}
    return Costs(tokens=tokens / rows, **each, bytes_in=source.stat().st_size / rows, bytes_out=size / rows)


def simulate(rows: int, cost: Costs, *, cores: int, parts: int | None = None) -> float:
    """Seconds of a job on one machine: a reader, an engine of ``cores`` threads and a writer share the cores.

    Each step works on one part at a time, a part is read while there is room before the engine, and written while there
    is room behind it. The cores are shared evenly by the threads that have something to do.
    """
    parts = parts or -(-rows // ROWS_PER_PART)
    each = rows / parts
    demand = [(cost.read + cost.tokenize) * each, cost.embed * each, cost.write * each]
    width = [1, cores, 1]
    left, done, now = [0.0, 0.0, 0.0], [0, 0, 0], 0.0
    while done[2] < parts:
        for step in range(3):
            if left[step] == 0.0 and _may_begin(step, done, left, parts):
                left[step] = demand[step]
        busy = [step for step in range(3) if left[step] > 0.0]
        threads = sum(width[step] for step in busy)
        speed = {step: width[step] * min(1.0, cores / threads) for step in busy}
        until = min(left[step] / speed[step] for step in busy)
        now += until
        for step in busy:
            left[step] -= until * speed[step]
            if left[step] < 1e-12:  # noqa: PLR2004  rounding
                left[step] = 0.0
                done[step] += 1
    return now


def _may_begin(step: int, done: list[int], left: list[float], parts: int) -> bool:
    """Whether a step has a part to begin, and room for what it makes."""
    available = parts if step == 0 else done[step - 1]
    taken_after = done[step + 1] + (left[step + 1] > 0.0) if step < 2 else done[step]  # noqa: PLR2004  the last step
    return done[step] < available and done[step] - taken_after < AHEAD


if __name__ == "__main__":
    main()
