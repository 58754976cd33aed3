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
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder
from pellucid.errors import BatchError, OptionError, TextError
from tests.batch.jobs import SMALL, contents, output, run, sentences, vectors

KILLS = int(os.environ.get("PELLUCID_KILLS", "6"))


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
        with pytest.raises(
            BatchError, match=r"no row could be used; 2 rows rejected. The first: it.*_rejected lists all"
        ):
            run([path], tmp_path / "out", embedder)
    assert json.loads((tmp_path / "out" / "_report.json").read_text())["rejected"] == 2


def test_a_job_without_rows_is_done(tmp_path, embedder):
    (tmp_path / "t.txt").write_text("")
    report = run([tmp_path / "t.txt"], tmp_path / "out", embedder)
    assert (report.rows, report.rejected, report.parts) == (0, 0, 0)


def test_a_part_that_was_damaged_is_reported(tmp_path, table, embedder):
    run([table], tmp_path / "out", embedder)
    before = contents(tmp_path / "out")
    part = next((tmp_path / "out").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(BatchError, match="is damaged. Delete it, and run the same command again"):
        run([table], tmp_path / "out", embedder)
    part.unlink()
    run([table], tmp_path / "out", embedder)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["out\0", "long" * 100, "\ud800"])
def test_an_impossible_folder_is_reported(tmp_path, table, embedder, name):
    with pytest.raises(BatchError):
        run([table], tmp_path / name, embedder)


def test_a_job_whose_output_is_below_its_input_goes_on(tmp_path, table, embedder):
    folder = tmp_path / "out"
    run([tmp_path], folder, embedder)
    next(folder.glob("*.parquet")).unlink()
    report = run([tmp_path], folder, embedder)
    assert (report.rows, report.parts, report.parts_before) == (100, 7, 6)


def test_a_finished_job_does_nothing_more(tmp_path, table, embedder, monkeypatch):
    run([table], tmp_path / "out", embedder)
    before = contents(tmp_path / "out")
    monkeypatch.setattr(embedder.engine, "run", None)
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
                    assert process.returncode == 3, process.stderr.read()  # Some rows were rejected.
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
    for wrong, words in ((folder / "c.dat", "must end in"), (folder / "none*", "matches no file")):
        with pytest.raises(BatchError, match=words):
            run([wrong], tmp_path / "three", embedder)
