from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid.errors import BatchError
from tests.batch.jobs import SMALL, output, run, vectors


def test_int8_has_the_same_ranges_in_every_part_and_says_them(tmp_path, table, embedder):
    run([table], tmp_path / "out", embedder, replace(SMALL, output_dtype="int8"))
    texts = pq.read_table(table)["text"].to_pylist()
    expected = embedder.embed_documents(texts)
    ranges = json.loads((tmp_path / "out" / "_manifest.json").read_text())["ranges"]
    low, high = np.array(ranges["low"]), np.array(ranges["high"])
    calibrated = expected[:16]
    assert np.allclose(low, calibrated.min(axis=0))
    assert np.allclose(high, calibrated.max(axis=0))
    found = output(tmp_path / "out")
    assert found.schema.field("vector").type == pa.list_(pa.int8(), embedder.dimensions)
    back = low + (vectors(found) + 128.5) * (high - low) / 255
    inside = (expected >= low) & (expected <= high)
    assert (np.abs(back - expected) <= (high - low) / 255 * 0.51)[inside].all()
    for path in (tmp_path / "out").glob("*.parquet"):
        told = json.loads(pq.read_schema(path).metadata[b"pellucid"])
        assert (told["low"], told["high"]) == (ranges["low"], ranges["high"])


def test_a_job_that_was_killed_before_it_had_a_manifest_begins_again(tmp_path, table, embedder):
    half = tmp_path / "out" / ".unfinished-x" / "_manifest.json"
    half.parent.mkdir(parents=True)
    half.write_text('{"form')
    assert run([table], tmp_path / "out", embedder).rows == 100
    assert not half.parent.exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path, table, embedder):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(BatchError, match="is not empty"):
        run([table], tmp_path / "out", embedder)
    with pytest.raises(BatchError, match="is a file"):
        run([table], table, embedder)
    (tmp_path / "out" / "_manifest.json").write_text("{}")
    with pytest.raises(BatchError, match="not a manifest"):
        run([table], tmp_path / "out", embedder)
