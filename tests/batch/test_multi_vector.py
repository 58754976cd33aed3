from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import MultiVectorEmbedder, MultiVectors
from pellucid.batch.multi_vector import MultiVectorOptions
from pellucid.errors import BatchError, InvalidModelError
from tests import multi_vector_models
from tests.batch.jobs import contents, interrupted_after, output, run, sentences

OPTIONS = MultiVectorOptions(rows_per_file=16)
TEXTS = [*sentences(49), ", . !"]
"""The last one has no vectors, because the model skips punctuation."""
WIDTH = multi_vector_models.WIDTH
DOCUMENT_LENGTH = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> MultiVectorEmbedder:
    folder = multi_vector_models.write_model(
        tmp_path_factory.mktemp("models") / "m",
        expansion=multi_vector_models.FIXED,
        document_length=DOCUMENT_LENGTH,
        mask={"keep_only_token_ids": None},
        skipped=(*".,!", "[CLS]", "[SEP]"),
    )
    return MultiVectorEmbedder(folder, on_truncation="cut")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": range(50), "text": TEXTS}), path)
    return path


def check_vectors(table, expected: MultiVectors, column="vectors") -> None:
    found = table[column].combine_chunks()
    assert found.type == pa.list_(pa.list_(pa.float32(), WIDTH))
    assert [len(vectors) for vectors in found] == expected.lengths.tolist()
    assert found.flatten().flatten().to_numpy().tobytes() == expected.vectors.tobytes()


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "txt"])
def test_each_text_gets_the_vectors_of_the_library(tmp_path, model, source, ending):
    path = tmp_path / f"in.{ending}"
    if ending == "jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    elif ending == "csv":
        path.write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS))
    elif ending == "txt":
        path.write_text("".join(f"{text}\n" for text in TEXTS))
    report = run([path], tmp_path / "out", model, OPTIONS)
    assert (report.rows, report.parts, report.rejected) == (50, 4, 0)
    found, expected = output(tmp_path / "out"), model.embed_documents(TEXTS)
    check_vectors(found, expected)
    assert found["vectors"].to_pylist()[-1] == []


def test_other_columns_stay_and_the_file_names_what_was_added(tmp_path, model, source):
    run([source], tmp_path / "out", model, replace(OPTIONS, vector_column="tokens"))
    found = output(tmp_path / "out")
    assert found.column_names == ["n", "text", "tokens"]
    assert found["n"].to_pylist() == list(range(50))
    check_vectors(found, model.embed_documents(TEXTS), "tokens")
    first = min((tmp_path / "out").glob("*.parquet"))
    assert json.loads(pq.read_schema(first).metadata[b"pellucid"]) == {"added_columns": ["tokens"]}
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["job"]["dimensions"] == WIDTH


def test_vectors_are_stored_as_they_are_because_no_codec_makes_them_smaller(tmp_path, model, source):
    run([source], tmp_path / "out", model, OPTIONS)
    row_group = pq.ParquetFile(min((tmp_path / "out").glob("*.parquet"))).metadata.row_group(0)
    codecs = {row_group.column(n).path_in_schema.partition(".")[0]: row_group.column(n).compression for n in range(3)}
    assert codecs == {"n": "ZSTD", "text": "ZSTD", "vectors": "UNCOMPRESSED"}


def test_equal_texts_of_a_part_go_through_the_engine_once(tmp_path, model):
    pq.write_table(pa.table({"text": ["the cat", "a dog", ","] * 20}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "out", model, replace(OPTIONS, rows_per_file=100))
    assert (report.rows, report.texts) == (60, 3)
    check_vectors(output(tmp_path / "out"), model.embed_documents(["the cat", "a dog", ","] * 20))


def test_a_part_without_rows(tmp_path, model):
    (tmp_path / "in.jsonl").write_text('{"text": "cat"}\n' + '{"text": null}\n' * 16)
    report = run([tmp_path / "in.jsonl"], tmp_path / "out", model, OPTIONS)
    assert (report.rows, report.rejected, report.parts) == (1, 16, 2)
    check_vectors(output(tmp_path / "out"), model.embed_documents(["cat"]))


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


def test_documents_too_long_are_cut_at_their_own_limit_or_rejected(tmp_path, model):
    texts = ["the cat", "dog " * 100]
    pq.write_table(pa.table({"text": texts}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "cut", model, OPTIONS)
    assert (report.rows, report.cut, report.lost) == (2, 1, 102 - DOCUMENT_LENGTH)
    check_vectors(output(tmp_path / "cut"), model.embed_documents(texts))
    report = run([tmp_path / "in.parquet"], tmp_path / "reject", model, replace(OPTIONS, on_truncation="reject"))
    assert (report.rows, report.rejected) == (1, 1)
    check_vectors(output(tmp_path / "reject"), model.embed_documents(texts[:1]))


def test_another_option_is_another_job(tmp_path, model, source):
    run([source], tmp_path / "out", model, OPTIONS)
    before = contents(tmp_path / "out")
    with pytest.raises(BatchError, match="different options: vector_column 'vectors', not 'tokens'"):
        run([source], tmp_path / "out", model, replace(OPTIONS, vector_column="tokens"))
    with pytest.raises(BatchError, match="different options: prompt '', not 'a '"):
        run([source], tmp_path / "out", model, replace(OPTIONS, prompt="a "))
    assert contents(tmp_path / "out") == before


def test_a_cache_gives_the_same_bytes(tmp_path, model, source, texts_run):
    run([source], tmp_path / "plain", model, OPTIONS)
    del texts_run[:]
    cached = MultiVectorEmbedder(model.encoder, cache=tmp_path / "vectors.db", on_truncation="cut")
    for name in ("first", "second"):
        run([source], tmp_path / name, cached, OPTIONS)
        assert contents(tmp_path / name) == contents(tmp_path / "plain")
    assert sum(texts_run) == len(set(TEXTS))


def test_vectors_that_are_not_finite_never_get_into_a_file(tmp_path, model, source, monkeypatch):
    def broken(tokens, *_, **__):
        return MultiVectors(np.full((len(tokens.ids), WIDTH), np.nan, dtype=np.float32), tokens.offsets)

    monkeypatch.setattr(model.encoder, "run", broken)
    with pytest.raises(InvalidModelError):
        run([source], tmp_path / "out", model, OPTIONS)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_lancedb_searches_the_output_by_maxsim(tmp_path, model, source):
    run([source], tmp_path / "out", model, OPTIONS)
    lancedb = pytest.importorskip("lancedb")
    table = lancedb.connect(tmp_path / "db").create_table("texts", output(tmp_path / "out").slice(0, 49))
    query = model.embed_query("the dog sat")
    found = table.search(query).distance_type("cosine").limit(5).to_list()
    best = model.rank(query, model.embed_documents(TEXTS[:49]), 5)
    assert [TEXTS[row["n"]] for row in found] == [TEXTS[each.index] for each in best]
