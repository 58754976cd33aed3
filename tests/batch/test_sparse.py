from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder, SparseEmbedder, SparseVectors
from pellucid.batch.embedding import EmbedOptions
from pellucid.batch.sparse import SparseOptions
from pellucid.errors import BatchError, InvalidModelError, OptionError
from tests import tiny
from tests.batch.jobs import contents, interrupted_after, output, run, sentences

OPTIONS = SparseOptions(rows_per_file=16)
TEXTS = sentences(50)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SparseEmbedder:
    folder = tiny.write_splade_model(tmp_path_factory.mktemp("models") / "m")
    return SparseEmbedder(folder, on_truncation="cut")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": range(50), "text": TEXTS}), path)
    return path


def check_vectors(table, expected: SparseVectors, columns=("indices", "values")) -> None:
    indices, values = (table[name].combine_chunks() for name in columns)
    assert (indices.type, values.type) == (pa.list_(pa.int32()), pa.list_(pa.float32()))
    assert indices.flatten().to_numpy().tobytes() == expected.indices.tobytes()
    assert values.flatten().to_numpy().tobytes() == expected.values.tobytes()
    for lists in (indices, values):
        assert [len(each) for each in lists] == expected.lengths.tolist()


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "txt"])
def test_each_text_gets_the_vector_of_the_library(tmp_path, model, source, ending):
    path = tmp_path / f"in.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    elif ending != "parquet":
        path.write_text("".join(f"{line}\n" for line in [*(["text"] if ending == "csv" else []), *TEXTS]))
    report = run([path], tmp_path / "out", model, OPTIONS)
    assert (report.rows, report.parts, report.rejected) == (50, 4, 0)
    check_vectors(output(tmp_path / "out"), model.embed_documents(TEXTS))


def test_other_columns_stay_and_the_file_names_what_was_added(tmp_path, model, source):
    options = replace(OPTIONS, indices_column="tokens", values_column="weights", max_active_dims=3)
    run([source], tmp_path / "out", model, options)
    found = output(tmp_path / "out")
    assert found.column_names == ["n", "text", "tokens", "weights"]
    assert found["n"].to_pylist() == list(range(50))
    check_vectors(found, model.embed_documents(TEXTS, max_active_dims=3), ("tokens", "weights"))
    first = min((tmp_path / "out").glob("*.parquet"))
    assert json.loads(pq.read_schema(first).metadata[b"pellucid"]) == {"added_columns": ["tokens", "weights"]}
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["job"]["dimensions"] == model.dimensions


def test_equal_texts_of_a_part_go_through_the_engine_once(tmp_path, model):
    pq.write_table(pa.table({"text": ["the cat", "a dog"] * 20}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "out", model, replace(OPTIONS, rows_per_file=100))
    assert (report.rows, report.texts) == (40, 2)
    check_vectors(output(tmp_path / "out"), model.embed_documents(["the cat", "a dog"] * 20))


def test_a_vector_of_zeros_and_a_part_without_rows(tmp_path, model, source, monkeypatch):
    nothing = SparseVectors.from_dense(np.zeros((1, model.dimensions), dtype=np.float32))
    (tmp_path / "in.jsonl").write_text('{"text": "cat"}\n' + '{"text": null}\n' * 16)
    with monkeypatch.context() as patch:
        run_engine = model.encoder.run
        patch.setattr(model.encoder, "run", lambda *a, **k: nothing if len(a[0]) else run_engine(*a, **k))
        report = run([tmp_path / "in.jsonl"], tmp_path / "out", model, OPTIONS)
    assert (report.rows, report.rejected, report.parts) == (1, 16, 2)
    assert output(tmp_path / "out").to_pylist() == [{"text": "cat", "indices": [], "values": []}]


def test_the_prompt_goes_before_each_text(tmp_path, model, source):
    run([source], tmp_path / "out", model, replace(OPTIONS, prompt="a "))
    check_vectors(output(tmp_path / "out"), model.embed_documents(TEXTS, prompt="a "))


def test_an_interrupted_job_goes_on_and_its_bytes_are_the_same(tmp_path, model, source, monkeypatch):
    run([source], tmp_path / "whole", model, OPTIONS)
    with interrupted_after(2, monkeypatch):
        run([source], tmp_path / "out", model, OPTIONS)
    report = run([source], tmp_path / "out", model, OPTIONS)
    assert report.parts_before == 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_texts_too_long_are_cut_and_counted_or_rejected(tmp_path, model):
    texts = ["the cat", "dog " * 100]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "cut", model, OPTIONS)
    assert (report.rows, report.cut) == (2, 1)
    check_vectors(output(tmp_path / "cut"), model.embed_documents(texts))
    report = run([tmp_path / "in.parquet"], tmp_path / "reject", model, replace(OPTIONS, on_truncation="reject"))
    assert (report.rows, report.rejected) == (1, 1)
    check_vectors(output(tmp_path / "reject"), model.embed_documents(texts[:1]))


def test_another_number_of_dimensions_or_another_task_is_another_job(tmp_path, model, source):
    run([source], tmp_path / "out", model, OPTIONS)
    before = contents(tmp_path / "out")
    with pytest.raises(BatchError, match="different options: max_active_dims None, not 3"):
        run([source], tmp_path / "out", model, replace(OPTIONS, max_active_dims=3))
    with pytest.raises(BatchError, match="different options: max_active_dims None, not 3"):
        run([source], tmp_path / "out", SparseEmbedder(model.encoder, max_active_dims=3), OPTIONS)
    with pytest.raises(BatchError, match="different options: values_column 'values', not 'weights'"):
        run([source], tmp_path / "out", model, replace(OPTIONS, values_column="weights"))
    dense = Embedder(tiny.write_model(tmp_path / "m"), on_truncation="cut")
    with pytest.raises(BatchError, match="contains a job with a different model"):
        run([source], tmp_path / "out", dense, EmbedOptions(rows_per_file=16))
    assert contents(tmp_path / "out") == before


def test_options_that_cannot_be_used_are_refused_before_any_work(tmp_path, model, source):
    def refused(options, error, message):
        with pytest.raises(error, match=message):
            run([source], tmp_path / "out", model, options)

    refused(replace(OPTIONS, max_active_dims=0), OptionError, "max_active_dims")
    same = "--indices-column and --values-column are the same column"
    refused(replace(OPTIONS, indices_column="a", values_column="a"), OptionError, same)
    taken = "the input has a column 'n' already. Choose another name with --values-column."
    refused(replace(OPTIONS, values_column="n"), BatchError, taken)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_weights_that_are_not_finite_never_get_into_a_file(tmp_path, model, source, monkeypatch):
    def broken(tokens, *_, **__):
        return SparseVectors.from_dense(np.full((len(tokens), model.dimensions), np.nan, dtype=np.float32))

    monkeypatch.setattr(model.encoder, "run", broken)
    with pytest.raises(InvalidModelError):
        run([source], tmp_path / "out", model, OPTIONS)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_cache_gives_the_same_bytes(tmp_path, model, source, texts_run):
    options = replace(OPTIONS, max_active_dims=3)
    run([source], tmp_path / "plain", model, options)
    del texts_run[:]
    cached = SparseEmbedder(model.encoder, cache=tmp_path / "vectors.db", on_truncation="cut")
    for name in ("first", "second"):
        run([source], tmp_path / name, cached, options)
        assert contents(tmp_path / name) == contents(tmp_path / "plain")
    assert sum(texts_run) == len(set(TEXTS))
