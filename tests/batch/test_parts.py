from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid.batch import parts as stages
from pellucid.batch.embedding import EmbedOptions
from pellucid.errors import BatchError, TextError
from tests.batch.jobs import SMALL, contents, output, run, sentences, vectors


def test_everything_but_the_vectors_is_compressed(tmp_path, embedder):
    texts = sentences(50)
    more = [{"seen": ["the same again"], "n.n": 1}] * 50
    pq.write_table(pa.table({"text": texts, "a.b": texts, "more": more}), tmp_path / "in.parquet")
    run([tmp_path / "in.parquet"], tmp_path / "out", embedder, EmbedOptions())
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


@pytest.mark.parametrize("when", ["read", "embedded"])
def test_an_input_that_changes_is_noticed_before_a_part_has_its_name(tmp_path, embedder, monkeypatch, when):
    path = tmp_path / "t.txt"
    path.write_text("".join(f"{text}\n" for text in sentences(64)))
    stage = {"read": "prepare", "embedded": "compute"}[when]
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


def test_equal_texts_of_a_part_go_through_the_engine_once(tmp_path, embedder):
    pq.write_table(pa.table({"text": ["the cat", "a dog"] * 50}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "out", embedder, EmbedOptions())
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
        patch.setattr(pq, "write_table", full)
        with pytest.raises(BatchError, match="No space left.*Every finished file is intact"):
            run([table], tmp_path / "out", embedder)
    assert not list((tmp_path / "out").glob(".unfinished*"))
    report = run([table], tmp_path / "out", embedder)
    assert report.parts_before == 3
    assert contents(tmp_path / "out") == contents(expected)
