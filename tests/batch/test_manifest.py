from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder
from pellucid.errors import BatchError
from tests import tiny
from tests.batch.jobs import SMALL, contents, run, sentences


def test_an_older_job_goes_on_unless_its_output_is_hidden(tmp_path, embedder):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("text\nthe cat\n")
    out = tmp_path / "out"
    run([tmp_path / "a.csv", tmp_path / "b.csv"], out, embedder)
    manifest = json.loads((out / "_manifest.json").read_text())
    manifest["job"]["inputs"][0]["name"] = "_a_"
    (out / "_manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BatchError, match="an earlier version.*skip names that begin with _.*another folder"):
        run([tmp_path / "a.csv", tmp_path / "b.csv"], out, embedder)


MANIFESTS = {
    "nesting": "[" * 100_000,
    "no inputs": '{"format": 1, "job": {}}',
    "inputs of another kind": '{"format": 1, "job": {"inputs": [1]}}',
    "ranges of another kind": '{"format": 1, "job": {"inputs": [], "dimensions": 9}, "ranges": {"low": 1, "high": 2}}',
    "huge ranges": f'{{"format": 2, "job": {{}}, "ranges": {{"low": [{"9" * 400}], "high": [1]}}}}',
    "not UTF-8": b"\xff",
}


def test_a_job_that_version_01_began_continues(tmp_path, table, embedder):
    """Its manifest has the engine and the dtype among the options, and does not say which device it was."""
    folder = tmp_path / "out"
    run([table], folder, embedder)
    before = contents(folder)
    before.pop("_manifest.json")
    path = folder / "_manifest.json"
    content = json.loads(path.read_text())
    job_content = content["job"]
    fingerprint = job_content.pop("fingerprint")
    job_content |= {"model_digest": fingerprint["model"], "prompt": fingerprint["prompt"]}
    job_content |= {name: fingerprint[name] for name in ("engine", "dtype")}
    job_content |= fingerprint["options"] | job_content.pop("options")
    path.write_text(json.dumps({"format": 1, "job": job_content}))
    next(folder.glob("*.parquet")).unlink()
    report = run([table], folder, embedder)
    assert (report.parts, report.parts_before) == (7, 6)
    assert before.items() <= contents(folder).items()
    assert json.loads(path.read_text())["job"]["fingerprint"]["device"] == "cpu"
    for changed in (replace(SMALL, prompt="q: "), replace(SMALL, normalize=False), replace(SMALL, rows_per_file=8)):
        with pytest.raises(
            BatchError, match=r"contains a job with different options: (prompt|normalize|rows_per_file)"
        ):
            run([table], folder, embedder, changed)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_broken_manifest_is_reported(tmp_path, table, embedder, manifest):
    (tmp_path / "out").mkdir()
    content = MANIFESTS[manifest]
    (tmp_path / "out" / "_manifest.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BatchError, match="_manifest.json is not a manifest that this version can read"):
        run([table], tmp_path / "out", embedder)


def test_a_manifest_that_is_not_a_file_is_reported(tmp_path, table, embedder):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "_manifest.json")
    with pytest.raises(BatchError, match="_manifest.json is not a manifest that this version can read"):
        run([table], tmp_path / "out", embedder)


def test_the_order_of_the_input_makes_no_other_job(tmp_path, embedder):
    for place in ("1", "2"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.txt").write_text(f"the cat {place}\n")
    files = [tmp_path / "1" / "a.txt", tmp_path / "2" / "a.txt"]
    run(files, tmp_path / "out", embedder)
    assert run(files[::-1], tmp_path / "out", embedder).texts == 0


CHANGES = {
    "the input": (lambda path: pq.write_table(pa.table({"text": sentences(99)}), path), "job with different input: in"),
    "the type": (replace(SMALL, output_dtype="float16"), "output_dtype 'float32', not 'float16'"),
    "the prompt": (replace(SMALL, prompt="the "), "prompt '', not 'the '"),
    "the rows": (replace(SMALL, rows_per_file=8), "rows_per_file 16, not 8"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_that_was_another_is_refused(tmp_path, embedder, change):
    pq.write_table(pa.table({"text": sentences(40)}), tmp_path / "in.parquet")
    run([tmp_path / "in.parquet"], tmp_path / "out", embedder)
    before = contents(tmp_path / "out")
    how, words = CHANGES[change]
    options = SMALL
    if callable(how):
        how(tmp_path / "in.parquet")
    else:
        options = how
    with pytest.raises(BatchError, match=words):
        run([tmp_path / "in.parquet"], tmp_path / "out", embedder, options)
    assert contents(tmp_path / "out") == before


def test_another_model_is_refused_and_a_copy_is_not(tmp_path, table, embedder):
    run([table], tmp_path / "out", embedder)
    copy = Embedder(shutil.copytree(embedder.files.folder, tmp_path / "copy"))
    assert run([table], tmp_path / "out", copy).parts_before == 7
    with pytest.raises(BatchError, match="a different model"):
        run([table], tmp_path / "out", Embedder(tiny.write_model(tmp_path / "other", seed=1)))
