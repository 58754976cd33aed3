from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder
from pellucid.batch import parts as stages
from pellucid.batch import runner as job
from pellucid.batch.parts import JobOptions
from pellucid.errors import BatchError, OptionError, TextError
from tests import tiny

KILLS = int(os.environ.get("PELLUCID_KILLS", "10"))
WORDS = ["the", "cat", "sat", "on", "mat", "a", "dog", "and", "bird"]
SMALL = JobOptions(rows_per_file=16)


def sentences(count, seed=0):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(count)]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return Embedder(tiny.write_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="ignore")


@pytest.fixture
def table(tmp_path):
    texts = sentences(100)
    path = tmp_path / "in.parquet"
    pq.write_table(
        pa.table({"id": range(100), "text": texts, "more": [[n] for n in range(100)]}), path, row_group_size=30
    )
    return path


def run(paths, folder, embedder, options=SMALL, **more):
    return job.run([str(path) for path in paths], folder, embedder, options, **more)


def output(folder) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted(folder.glob("*.parquet")))


def vectors(table, column="vector", dtype=np.float32):
    return np.array(table.column(column).to_pylist(), dtype=dtype)


def contents(folder) -> dict[str, bytes]:
    kept = (path for path in folder.rglob("*") if path.is_file() and path.name not in {"_report.json", ".lock"})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}


def test_every_row_gets_its_vector_and_keeps_its_columns(tmp_path, table, embedder):
    report = run([table], tmp_path / "out", embedder)
    found = output(tmp_path / "out")
    given = pq.read_table(table)
    assert found.drop_columns("vector").to_pylist() == given.to_pylist()
    assert (vectors(found) == embedder.embed_documents(given["text"].to_pylist())).all()
    assert found.schema.field("vector").type == pa.list_(pa.float32(), embedder.dimensions)
    names = sorted(path.name for path in (tmp_path / "out").glob("*.parquet"))
    assert names[0] == "in-000000000000-000000000016.parquet"
    assert names[-1] == "in-000000000096-000000000100.parquet"
    assert (report.rows, report.rejected, report.parts, report.parts_before) == (100, 0, 7, 0)
    assert 0 < report.engine_busy <= 1


def test_everything_but_the_vectors_is_compressed(tmp_path, embedder):
    texts = sentences(50)
    more = [{"seen": ["the same again"], "n.n": 1}] * 50
    pq.write_table(pa.table({"text": texts, "a.b": texts, "more": more}), tmp_path / "in.parquet")
    run([tmp_path / "in.parquet"], tmp_path / "out", embedder, JobOptions())
    (path,) = (tmp_path / "out").glob("*.parquet")
    group = pq.read_metadata(path).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {column.path_in_schema: column.compression for column in columns} == {
        "text": "ZSTD",
        "a.b": "ZSTD",
        "more.seen.list.element": "ZSTD",
        "more.n.n": "ZSTD",
        "vector.list.element": "UNCOMPRESSED",
    }
    assert all(("RLE_DICTIONARY" in column.encodings) == (column.compression == "ZSTD") for column in columns)


def test_the_folder_is_one_table_to_who_reads_it(tmp_path, table, embedder):
    with (tmp_path / "bad.jsonl").open("w") as file:
        file.write('{"text": "the cat"}\n{}\n')
    run([tmp_path / "bad.jsonl"], tmp_path / "out", embedder)
    assert (tmp_path / "out" / "_rejected").is_dir()
    assert pq.read_table(tmp_path / "out").column("text").to_pylist() == ["the cat"]


STRANGE = ["(1).csv", "_b.csv", "b.csv", "B.csv", "[x].csv", "{y}.csv", "bad\udcff.csv", "c\nd.csv", "=1.csv", "._.csv"]


def test_every_row_is_there_to_who_reads_the_folder_whatever_the_inputs_were_called(tmp_path, embedder):
    for number, name in enumerate(STRANGE):
        (tmp_path / name).write_text(f"text,n\nthe cat,{number}\na dog,{number}\n")
    report = run([tmp_path / name for name in STRANGE], tmp_path / "out", embedder)
    assert report.rows == 2 * len(STRANGE)
    expected = sorted(2 * [str(number) for number in range(len(STRANGE))])
    assert sorted(pyarrow.dataset.dataset(tmp_path / "out", format="parquet").to_table()["n"].to_pylist()) == expected
    assert sorted(pq.read_table(tmp_path / "out")["n"].to_pylist()) == expected


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.jsonl", '{"body": "a"}\n[1]\n'),
        ("t.csv", "text,n\nno number\n1,2,3\n"),
        ("t.txt", b"\xff\n\xfe\n"),
        ("t.parquet", pa.table({"text": pa.array([None, None], pa.string())})),
    ],
)
def test_a_job_of_which_no_row_can_be_used_fails(tmp_path, embedder, name, content):
    path = tmp_path / name
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for _ in range(2):
        with pytest.raises(BatchError, match=r"none of the 2 rows could be used. The first: it.*_rejected has all"):
            run([path], tmp_path / "out", embedder)
    assert json.loads((tmp_path / "out" / "_report.json").read_text())["rejected"] == 2


def test_a_job_without_rows_is_done(tmp_path, embedder):
    (tmp_path / "t.txt").write_text("")
    report = run([tmp_path / "t.txt"], tmp_path / "out", embedder)
    assert (report.rows, report.rejected, report.parts) == (0, 0, 0)


@pytest.mark.parametrize("when", ["read", "embedded"])
def test_an_input_that_changes_is_noticed_before_a_part_has_its_name(tmp_path, embedder, monkeypatch, when):
    path = tmp_path / "t.txt"
    path.write_text("".join(f"{text}\n" for text in sentences(64)))
    stage = {"read": "prepare", "embedded": "embed"}[when]
    work, seen = getattr(stages, stage), []

    def change(*arguments, **options):
        seen.append(1)
        if len(seen) == 3:
            path.write_text("".join(f"{text}\n" for text in sentences(64, seed=1)))
        return work(*arguments, **options)

    monkeypatch.setattr(stages, stage, change)
    with pytest.raises(BatchError, match="t.txt was changed since the job began"):
        run([path], tmp_path / "out", embedder)
    there = sorted(pq.read_table(part)["text"].to_pylist() for part in (tmp_path / "out").glob("*.parquet"))
    assert len(there) < 4
    texts = sentences(64)
    assert there == sorted(texts[16 * number : 16 * number + 16] for number in range(len(there)))


MANIFESTS = {
    "nesting": "[" * 100_000,
    "no inputs": '{"format": 1, "job": {}}',
    "inputs of another kind": '{"format": 1, "job": {"inputs": [1]}}',
    "ranges of another kind": '{"format": 1, "job": {"inputs": [], "dimensions": 9}, "ranges": {"low": 1, "high": 2}}',
    "not UTF-8": b"\xff",
}


def test_a_job_that_version_01_began_continues(tmp_path, table, embedder):
    """Its manifest has the engine and the dtype among the options, and does not say which device it was."""
    folder = tmp_path / "out"
    run([table], folder, embedder)
    before = contents(folder)
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
    assert contents(folder) == before
    for changed in (replace(SMALL, prompt="q: "), replace(SMALL, normalize=False), replace(SMALL, rows_per_file=8)):
        with pytest.raises(BatchError, match=r"has a job with (prompt|normalize|rows_per_file)"):
            run([table], folder, embedder, changed)


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_that_is_none_is_told(tmp_path, table, embedder, manifest):
    (tmp_path / "out").mkdir()
    content = MANIFESTS[manifest]
    (tmp_path / "out" / "_manifest.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BatchError, match="_manifest.json is not a manifest that this version can read"):
        run([table], tmp_path / "out", embedder)


def test_a_manifest_that_is_no_file_is_told(tmp_path, table, embedder):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "_manifest.json")
    with pytest.raises(BatchError, match="_manifest.json is not a manifest that this version can read"):
        run([table], tmp_path / "out", embedder)


def test_a_part_that_was_damaged_is_told(tmp_path, table, embedder):
    run([table], tmp_path / "out", embedder)
    before = contents(tmp_path / "out")
    part = next((tmp_path / "out").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(BatchError, match="is damaged. Remove it, and run the same command again"):
        run([table], tmp_path / "out", embedder)
    part.unlink()
    run([table], tmp_path / "out", embedder)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["out\0", "long" * 100, "\ud800"])
def test_a_folder_that_cannot_be_is_told(tmp_path, table, embedder, name):
    with pytest.raises(BatchError):
        run([table], tmp_path / name, embedder)


def test_a_job_whose_output_is_below_its_input_goes_on(tmp_path, table, embedder):
    folder = tmp_path / "out"
    run([tmp_path], folder, embedder)
    next(folder.glob("*.parquet")).unlink()
    report = run([tmp_path], folder, embedder)
    assert (report.rows, report.parts, report.parts_before) == (100, 7, 6)


def test_the_order_of_the_input_makes_no_other_job(tmp_path, embedder):
    for place in ("1", "2"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.txt").write_text(f"the cat {place}\n")
    files = [tmp_path / "1" / "a.txt", tmp_path / "2" / "a.txt"]
    run(files, tmp_path / "out", embedder)
    assert run(files[::-1], tmp_path / "out", embedder).texts == 0


def test_equal_texts_of_a_part_go_through_the_engine_once(tmp_path, embedder):
    pq.write_table(pa.table({"text": ["the cat", "a dog"] * 50}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "out", embedder, JobOptions())
    assert (report.rows, report.texts) == (100, 2)
    assert (vectors(output(tmp_path / "out")) == embedder.embed_documents(["the cat", "a dog"] * 50)).all()


@pytest.mark.parametrize("dtype", ["float16", "binary", "ubinary"])
def test_output_types_are_the_librarys(tmp_path, table, embedder, dtype):
    run([table], tmp_path / "out", embedder, replace(SMALL, output_dtype=dtype, truncate_dim=9, normalize=False))
    found = output(tmp_path / "out")
    texts = pq.read_table(table)["text"].to_pylist()
    expected = embedder.embed_documents(texts, output_dtype=dtype, truncate_dim=9, normalize=False)
    if dtype == "float16":
        assert (vectors(found, dtype=np.float16) == expected).all()
    else:
        assert found["vector"].to_pylist() == [row.tobytes() for row in expected]


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


def test_texts_too_long_are_cut_and_counted_or_rejected(tmp_path, embedder):
    texts = ["the cat", "cat " * 100, "a dog", "cat " * 100]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "cut", embedder)
    assert (report.rows, report.cut) == (4, 2)
    report = run([tmp_path / "in.parquet"], tmp_path / "reject", embedder, replace(SMALL, on_truncation="reject"))
    assert (report.rows, report.rejected, report.cut) == (2, 2, 0)
    found = output(tmp_path / "reject")
    assert found["text"].to_pylist() == ["the cat", "a dog"]
    assert (vectors(found) == embedder.embed_documents(["the cat", "a dog"])).all()
    (rejected,) = (tmp_path / "reject" / "_rejected").iterdir()
    assert [json.loads(line)["row"] for line in rejected.read_text().splitlines()] == [1, 3]


def test_a_text_that_the_tokenizer_refuses_costs_its_row(tmp_path, embedder, monkeypatch):
    texts = ["the cat", None, "refused", "a dog", "refused"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    tokenize = embedder.tokenizer.tokenize

    def refusing(texts, *arguments, **options):
        if "refused" in texts:
            raise TextError("text 1 has too many characters in a row")
        return tokenize(texts, *arguments, **options)

    monkeypatch.setattr(embedder.tokenizer, "tokenize", refusing)
    report = run([tmp_path / "in.parquet"], tmp_path / "out", embedder)
    assert (report.rows, report.rejected) == (2, 3)
    found = output(tmp_path / "out")
    assert found["text"].to_pylist() == ["the cat", "a dog"]
    assert (vectors(found) == embedder.embed_documents(["the cat", "a dog"])).all()
    (rejected,) = (tmp_path / "out" / "_rejected").iterdir()
    assert [json.loads(line) for line in rejected.read_text().splitlines()] == [
        {"row": 1, "fault": "its text is null"},
        {"row": 2, "fault": "the tokenizer cannot read its text in pieces"},
        {"row": 4, "fault": "the tokenizer cannot read its text in pieces"},
    ]


def test_a_finished_job_does_nothing_more(tmp_path, table, embedder, monkeypatch):
    run([table], tmp_path / "out", embedder)
    before = contents(tmp_path / "out")
    monkeypatch.setattr(embedder.engine, "token_vectors", None)
    report = run([table], tmp_path / "out", embedder)
    assert (report.parts_before, report.texts, report.engine_busy) == (7, 0, None)
    assert contents(tmp_path / "out") == before


def test_what_is_missing_is_made_again_as_it_was(tmp_path, table, embedder):
    run([table], tmp_path / "out", embedder)
    before = contents(tmp_path / "out")
    for name in list(before)[1:4]:
        (tmp_path / "out" / name).unlink() if name.endswith("parquet") else None
    (tmp_path / "out" / ".unfinished-x").mkdir()
    (tmp_path / "out" / ".unfinished-x" / "in.parquet").write_bytes(b"half")
    run([table], tmp_path / "out", embedder)
    assert contents(tmp_path / "out") == before


CHANGES = {
    "the input": (lambda path: pq.write_table(pa.table({"text": sentences(99)}), path), "job of other input: in"),
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
    with pytest.raises(BatchError, match="another model"):
        run([table], tmp_path / "out", Embedder(tiny.write_model(tmp_path / "other", seed=1)))


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


def test_two_at_one_job_are_refused(tmp_path, table, embedder):
    (tmp_path / "out").mkdir()
    with filelock.FileLock(tmp_path / "out" / ".lock"), pytest.raises(BatchError, match="another process"):
        run([table], tmp_path / "out", embedder)


def test_options_that_cannot_be_served(tmp_path, table, embedder):
    for options in ({"text_column": "\udcff"}, {"vector_column": "\udcff"}, {"prompt": "\udcff"}):
        with pytest.raises(TextError, match="lone surrogate"):
            run([table], tmp_path / "out", embedder, replace(SMALL, **options))
    for options in ({"output_dtype": "uint8"}, {"rows_per_file": 0}, {"truncate_dim": 99}):
        with pytest.raises(OptionError):
            run([table], tmp_path / "out", embedder, replace(SMALL, **options))
    with pytest.raises(BatchError, match="has a column 'id' already"):
        run([table], tmp_path / "out", embedder, replace(SMALL, vector_column="id"))


def test_a_full_disk_is_an_error_and_what_is_there_is_whole(tmp_path, table, embedder, monkeypatch):
    expected = tmp_path / "expected"
    run([table], expected, embedder)
    write, written = pq.write_table, []

    def full(*arguments, **options):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(1)
        write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stages.pq, "write_table", full)
        with pytest.raises(BatchError, match="No space left.*it goes on"):
            run([table], tmp_path / "out", embedder)
    assert not list((tmp_path / "out").glob(".unfinished*"))
    report = run([table], tmp_path / "out", embedder)
    assert report.parts_before == 3
    assert contents(tmp_path / "out") == contents(expected)


def test_progress_counts_every_row_once(tmp_path, table, embedder):
    seen = []
    run([table], tmp_path / "out", embedder, on_progress=seen.append)
    assert [(seen[0].rows, seen[0].total), seen[-1].rows] == [(0, 100), 100]
    assert [one.rows for one in seen] == sorted(one.rows for one in seen)
    seen.clear()
    run([table], tmp_path / "out", embedder, on_progress=seen.append)
    assert [(one.rows, one.tokens) for one in seen] == [(100, 0)]


def test_a_cache_gives_the_same(tmp_path, table, embedder):
    cached = Embedder(embedder.files.folder, on_truncation="ignore", cache=tmp_path / "c")
    run([table], tmp_path / "one", embedder)
    for name in ("two", "three"):
        run([table], tmp_path / name, cached)
        assert contents(tmp_path / name) == contents(tmp_path / "one")


def test_a_job_that_is_killed_goes_on_to_the_same_output(tmp_path, embedder):
    """SIGKILL at random moments; PELLUCID_KILLS says how many."""
    source = tmp_path / "in.jsonl"
    rows = [{"n": n, "text": text} if n % 17 else {"n": n} for n, text in enumerate(sentences(3000))]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run([source], tmp_path / "expected", embedder)
    expected = contents(tmp_path / "expected")
    assert len(expected) > 300
    command = [sys.executable, "-m", "pellucid", "batch", str(source), "--rows-per-file", "16"]
    command += ["--model", str(embedder.files.folder)]
    kills, job_number, rng = 0, 0, random.Random(KILLS)
    while kills < KILLS:
        job_number += 1
        out = tmp_path / f"out-{job_number}"
        while True:
            with subprocess.Popen(
                [*command, "-o", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                before = len(list(out.glob("*.parquet")))
                # Some while it starts, most while it works.
                deadline = time.monotonic() + (rng.uniform(0, 0.5) if rng.random() < 0.2 else 30)
                wanted = before + rng.randint(1, 60)
                while process.poll() is None and time.monotonic() < deadline:
                    if len(list(out.glob("*.parquet"))) >= wanted:
                        break
                    time.sleep(0.002)
                if process.poll() is not None:
                    assert process.returncode == 0, process.stderr.read()
                    break
                process.send_signal(signal.SIGKILL)
                kills += 1
            for path in out.glob("*.parquet"):
                assert path.read_bytes() == expected[path.name]
        assert contents(out) == expected
        shutil.rmtree(out)


def test_every_ending_and_pattern_is_found(tmp_path, embedder):
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("the cat\n\na dog\n")
    (folder / "b.txt").write_text("the mat\n")
    (folder.parent / "a.txt").write_text("a bird")
    (folder / "c.dat").write_text("not this")
    run([folder.parent], tmp_path / "out", embedder)
    assert sorted(Path(name).stem for name in contents(tmp_path / "out") if name.endswith("parquet")) == [
        "a-000000000000-000000000001",
        "a.2-000000000000-000000000003",
        "b-000000000000-000000000001",
    ]
    report = run([folder / "*.txt"], tmp_path / "two", embedder)
    assert report.rows == 4
    for wrong, words in ((folder / "c.dat", "must end in"), (folder / "none*", "no file of that name")):
        with pytest.raises(BatchError, match=words):
            run([wrong], tmp_path / "three", embedder)
