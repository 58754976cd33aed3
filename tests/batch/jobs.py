"""Jobs that tests run, and what they look at."""

from __future__ import annotations

import contextlib
import random

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid.batch import parts as stages
from pellucid.batch import runner as job
from pellucid.batch.embedding import EmbedOptions

WORDS = ["the", "cat", "sat", "on", "mat", "a", "dog", "and", "bird"]
SMALL = EmbedOptions(rows_per_file=16)


def sentences(count, seed=0):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(count)]


def run(paths, folder, embedder, options=SMALL, **more):
    return job.run([str(path) for path in paths], folder, embedder, options, **more)


def output(folder) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))


def vectors(table, column="vector", dtype=np.float32):
    return np.array(table.column(column).to_pylist(), dtype=dtype)


def contents(folder) -> dict[str, bytes]:
    kept = (path for path in folder.rglob("*") if path.is_file() and path.name not in {"_report.json", ".lock"})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


@contextlib.contextmanager
def interrupted_after(parts, monkeypatch):
    """Expects that the job in the block is interrupted once it has written so many parts."""
    write, written = stages.write, []

    def interrupted(*arguments):
        if len(written) == parts:
            raise KeyboardInterrupt
        written.append(1)
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield
