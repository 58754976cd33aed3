"""Estimates the time of a very large job from the costs of a small one. docs/scale.md shows the figures.

On one core, it measures the cost of reading, tokenizing, embedding and writing a row. With these costs, it simulates
the job on this machine, as three threads that share the cores. Then it runs the job, to check the simulation.
Run it with Pellucid's own Python, on an otherwise idle machine::

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
from pellucid.batch.embedding import EmbedOptions
from pellucid.batch.survey import survey
from pellucid.tables.reader import PartReader

ROWS_PER_PART = 1024
MAX_WAITING = 2
"""How many parts may wait before a step, as in ``pellucid.batch.runner``."""


@dataclass(frozen=True)
class Costs:
    """The average costs of a row.

    Attributes:
        tokens: how many tokens the engine reads.
        read: core-seconds to read it.
        tokenize: core-seconds to tokenize it.
        embed: core-seconds to embed it.
        write: core-seconds to write it.
        bytes_in: its bytes in the input file.
        bytes_out: its bytes in the output files.
    """

    tokens: float
    read: float
    tokenize: float
    embed: float
    write: float
    bytes_in: float
    bytes_out: float

    @property
    def all(self) -> float:
        """Core-seconds of a row, from file to file."""
        return self.read + self.tokenize + self.embed + self.write


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Estimate how long a billion texts would take.")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="the model's name or folder")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {
        **machine.describe_run(arguments.model),
    }
    workloads = {"short": texts.many(8192), "long": [f"{n} {text}" for n, text in enumerate(texts.long(1024, 180))]}
    with tempfile.TemporaryDirectory() as folder:
        for name, workload in workloads.items():
            for dtype in ("float32", "int8"):
                figures[f"{name}, {dtype}"] = check_simulation(arguments.model, dtype, workload, Path(folder))
    machine.write_figures(figures, arguments.json)


def check_simulation(model: str, dtype: str, workload: list[str], folder: Path) -> dict[str, Any]:
    """The costs of a row, the simulated time of a job, and its measured time."""
    source = folder / "in.parquet"
    pq.write_table(pa.table({"id": np.arange(len(workload)), "text": workload}), source)
    measured = costs(model, dtype, source, folder)
    embedder = Embedder(model, dtype=dtype, on_truncation="cut")
    embedder.embed_documents(workload[:512])
    start = time.perf_counter()
    job.run([str(source)], folder / "out", embedder, EmbedOptions(rows_per_file=ROWS_PER_PART))
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
    """Measure each step on one core, one step after the other."""
    embedder = Embedder(model, dtype=dtype, threads=1, on_truncation="cut")
    options = EmbedOptions(rows_per_file=ROWS_PER_PART)
    surveyed = survey([source], "text", ROWS_PER_PART)
    reader = PartReader(surveyed.schema, "text")
    parts = stages.parts_of(surveyed.files, ROWS_PER_PART)
    out = folder / "costs"
    out.mkdir()
    core_seconds = {"read": 0.0, "tokenize": 0.0, "embed": 0.0, "write": 0.0}
    tokens = 0
    stages.compute(stages.prepare(parts[0], reader, embedder, options), embedder, options)
    for part in parts:
        begin = time.process_time()
        PartReader(surveyed.schema, "text").read(part.file, part.start, part.stop, ROWS_PER_PART)
        read = time.process_time()
        prepared = stages.prepare(part, reader, embedder, options)
        tokenized = time.process_time()
        vectors = stages.compute(prepared, embedder, options)
        embedded = time.process_time()
        stages.write(prepared, vectors, embedder, options, None, out)
        written = time.process_time()
        core_seconds["read"] += read - begin
        core_seconds["tokenize"] += max(0.0, (tokenized - read) - (read - begin))
        core_seconds["embed"] += embedded - tokenized
        core_seconds["write"] += written - embedded
        tokens += len(prepared.tokens.ids)
    rows = surveyed.files[0].rows
    size = sum(path.stat().st_size for path in out.iterdir())
    shutil.rmtree(out)
    per_row = {name: seconds / rows for name, seconds in core_seconds.items()}
    return Costs(tokens=tokens / rows, **per_row, bytes_in=source.stat().st_size / rows, bytes_out=size / rows)


def simulate(rows: int, cost: Costs, *, cores: int, parts: int | None = None) -> float:
    """Simulate a job on one machine, whose cores are shared by a reader, an engine of ``cores`` threads and a writer.

    Each step works on one part at a time. The reader stops while too many parts wait for the engine, and the engine
    stops while too many wait for the writer. Threads that have work share the cores evenly.

    Returns:
        the seconds that the job takes.
    """
    parts = parts or -(-rows // ROWS_PER_PART)
    rows_per_part = rows / parts
    work = [seconds * rows_per_part for seconds in (cost.read + cost.tokenize, cost.embed, cost.write)]
    threads_of = [1, cores, 1]
    remaining, done, now = [0.0, 0.0, 0.0], [0, 0, 0], 0.0
    while done[2] < parts:
        for step in range(3):
            if remaining[step] == 0.0 and _can_begin(step, done, remaining, parts):
                remaining[step] = work[step]
        busy = [step for step in range(3) if remaining[step] > 0.0]
        threads = sum(threads_of[step] for step in busy)
        speed = {step: threads_of[step] * min(1.0, cores / threads) for step in busy}
        duration = min(remaining[step] / speed[step] for step in busy)
        now += duration
        for step in busy:
            remaining[step] -= duration * speed[step]
            if remaining[step] < 1e-12:  # noqa: PLR2004  a rounding error
                remaining[step] = 0.0
                done[step] += 1
    return now


def _can_begin(step: int, done: list[int], remaining: list[float], parts: int) -> bool:
    """True if a step has a part to work on, and room for its result."""
    available = parts if step == 0 else done[step - 1]
    taken_after = done[step + 1] + (remaining[step + 1] > 0.0) if step < 2 else done[step]  # noqa: PLR2004  the last step
    return done[step] < available and done[step] - taken_after < MAX_WAITING


if __name__ == "__main__":
    main()
