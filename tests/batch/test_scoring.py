from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pellucid import Classifier, Reranker
from pellucid.batch.scoring import ClassifyOptions, RerankOptions
from pellucid.errors import BatchError, InvalidModelError, OptionError
from tests import tiny
from tests.batch.jobs import contents, interrupted_after, output, run, sentences

RERANK = RerankOptions(rows_per_file=16)
CLASSIFY = ClassifyOptions(rows_per_file=16)
QUERIES, TEXTS = sentences(50, seed=1), sentences(50, seed=2)


@pytest.fixture(scope="module")
def reranker(tmp_path_factory) -> Reranker:
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m"), on_truncation="cut")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Classifier:
    folder = tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m", labels=3)
    return Classifier(folder, on_truncation="cut")


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": range(50), "query": QUERIES, "text": pa.array(TEXTS).dictionary_encode()}), path)
    return path


def write_rows(path, rows):
    """Write rows of queries and texts as the kind of table that the ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    else:
        lines = [f"{row['query']},{row['text']}\n" for row in rows]
        path.write_text("".join(["query,text\n", *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_each_pair_gets_the_score_of_the_library(tmp_path, reranker, ending):
    rows = [{"query": query, "text": text} for query, text in zip(QUERIES, TEXTS, strict=True)]
    source = write_rows(tmp_path / f"in.{ending}", rows)
    report = run([source], tmp_path / "out", reranker, RERANK)
    assert (report.rows, report.parts, report.rejected) == (50, 4, 0)
    found = output(tmp_path / "out")
    assert [{name: row[name] for name in ("query", "text")} for row in found.to_pylist()] == rows
    assert found.schema.field("score").type == pa.float32()
    expected = reranker.score_pairs(list(zip(QUERIES, TEXTS, strict=True)))
    assert found["score"].to_numpy().tobytes() == expected.tobytes()


def test_other_columns_stay_and_the_file_names_what_was_added(tmp_path, reranker, pairs):
    options = replace(RERANK, score_column="fit")
    run([pairs], tmp_path / "out", reranker, options)
    found = output(tmp_path / "out")
    assert found.column_names == ["n", "query", "text", "fit"]
    assert found["n"].to_pylist() == list(range(50))
    first = min((tmp_path / "out").glob("*.parquet"))
    assert json.loads(pq.read_schema(first).metadata[b"pellucid"]) == {"added_columns": ["fit"]}


def test_equal_pairs_of_a_part_go_through_the_engine_once(tmp_path, reranker):
    table = pa.table({"query": ["the cat", "a dog"] * 20, "text": ["a mat"] * 40})
    pq.write_table(table, tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "out", reranker, replace(RERANK, rows_per_file=100))
    assert (report.rows, report.texts) == (40, 2)
    expected = reranker.score_pairs([("the cat", "a mat"), ("a dog", "a mat")] * 20)
    assert output(tmp_path / "out")["score"].to_numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_a_row_without_one_of_its_texts_is_rejected(tmp_path, reranker, ending):
    rows = [{"query": "a", "text": "b"}, {"query": None, "text": "b"}, {"query": "a", "text": None}]
    source = write_rows(tmp_path / f"in.{ending}", [*rows, {"query": None, "text": None}])
    report = run([source], tmp_path / "out", reranker, RERANK)
    assert (report.rows, report.rejected) == (1, 3)
    (rejected,) = (tmp_path / "out" / "_rejected").iterdir()
    found = [json.loads(line) for line in rejected.read_text().splitlines()]
    fault = "its {!r} is null" if ending == "parquet" else "it has no {!r}"
    names = ["query", "text", "text"]
    assert found == [{"row": row, "fault": fault.format(name)} for row, name in enumerate(names, start=1)]


def test_each_text_or_pair_gets_its_label(tmp_path, classifier, pairs):
    for options, texts in (
        (CLASSIFY, TEXTS),
        (replace(CLASSIFY, text_column="query", second_column="text"), list(zip(QUERIES, TEXTS, strict=True))),
    ):
        folder = tmp_path / f"out-{options.second_column}"
        run([pairs], folder, classifier, options)
        found = output(folder)
        assert found.column_names == ["n", "query", "text", "label", "probability"]
        assert found["label"].to_pylist() == classifier.classify(texts)
        highest = classifier.probabilities(texts).max(axis=1)
        assert found["probability"].to_numpy().tobytes() == highest.tobytes()


def test_the_prompt_goes_before_the_query_or_the_text(tmp_path, reranker, classifier, pairs):
    run([pairs], tmp_path / "scores", reranker, replace(RERANK, prompt="a "))
    expected = reranker.score_pairs(list(zip(QUERIES, TEXTS, strict=True)), prompt="a ")
    assert output(tmp_path / "scores")["score"].to_numpy().tobytes() == expected.tobytes()
    run([pairs], tmp_path / "labels", classifier, replace(CLASSIFY, prompt="a "))
    highest = classifier.probabilities(TEXTS, prompt="a ").max(axis=1)
    assert output(tmp_path / "labels")["probability"].to_numpy().tobytes() == highest.tobytes()


@pytest.mark.parametrize("task", ["rerank", "classify"])
def test_an_interrupted_job_goes_on_and_its_bytes_are_the_same(
    tmp_path, reranker, classifier, pairs, monkeypatch, task
):
    model, options = (reranker, RERANK) if task == "rerank" else (classifier, CLASSIFY)
    run([pairs], tmp_path / "whole", model, options)
    with interrupted_after(2, monkeypatch):
        run([pairs], tmp_path / "out", model, options)
    report = run([pairs], tmp_path / "out", model, options)
    assert report.parts_before == 2
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_pairs_too_long_are_cut_and_counted_or_rejected(tmp_path, reranker):
    rows = [("the cat", "a dog"), ("the cat", "dog " * 100), ("cat " * 100, "a dog")]
    pq.write_table(pa.table({"query": [a for a, _ in rows], "text": [b for _, b in rows]}), tmp_path / "in.parquet")
    report = run([tmp_path / "in.parquet"], tmp_path / "cut", reranker, RERANK)
    assert (report.rows, report.cut) == (3, 2)
    assert output(tmp_path / "cut")["score"].to_numpy().tobytes() == reranker.score_pairs(rows).tobytes()
    report = run([tmp_path / "in.parquet"], tmp_path / "reject", reranker, replace(RERANK, on_truncation="reject"))
    assert (report.rows, report.rejected, report.cut) == (1, 2, 0)
    assert output(tmp_path / "reject")["score"].to_numpy().tobytes() == reranker.score_pairs(rows[:1]).tobytes()
    (rejected,) = (tmp_path / "reject" / "_rejected").iterdir()
    faults = [json.loads(line)["fault"] for line in rejected.read_text().splitlines()]
    assert faults == [f"the pair of its texts has more than {reranker.max_tokens} tokens"] * 2


def test_another_task_or_activation_is_another_job(tmp_path, reranker, pairs):
    run([pairs], tmp_path / "out", reranker, RERANK)
    before = contents(tmp_path / "out")
    raw = Reranker(reranker.encoder, activation="identity", on_truncation="cut")
    with pytest.raises(BatchError, match="different options: activation 'sigmoid', not 'identity'"):
        run([pairs], tmp_path / "out", raw, RERANK)
    with pytest.raises(BatchError, match="contains a job with different options: "):
        run([pairs], tmp_path / "out", Classifier(reranker.encoder), CLASSIFY)
    with pytest.raises(BatchError, match="different options: score_column 'score', not 'fit'"):
        run([pairs], tmp_path / "out", reranker, replace(RERANK, score_column="fit"))
    assert contents(tmp_path / "out") == before


def test_columns_that_cannot_be_used_are_refused_before_any_work(tmp_path, reranker, classifier, pairs):
    def refused(model, options, error, message):
        with pytest.raises(error, match=message):
            run([pairs], tmp_path / "out", model, options)

    missing = "it has no column 'q'; its columns are 'n', 'query', 'text'. Choose one with --query-column."
    refused(reranker, replace(RERANK, query_column="q"), BatchError, missing)
    refused(reranker, replace(RERANK, query_column="n"), BatchError, "the column 'n' has the type int64")
    same = "--column and --query-column are the same column"
    refused(reranker, replace(RERANK, query_column="text"), OptionError, same)
    same = "--column and --second-column are the same column"
    refused(classifier, replace(CLASSIFY, second_column="text"), OptionError, same)
    twice = "--label-column and --probability-column are the same column"
    refused(classifier, replace(CLASSIFY, label_column="a", probability_column="a"), OptionError, twice)
    taken = "the input has a column 'query' already. Choose another name with --label-column."
    refused(classifier, replace(CLASSIFY, label_column="query"), BatchError, taken)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_scores_that_are_not_finite_never_get_into_a_file(tmp_path, reranker, pairs, monkeypatch):
    def broken(tokens, *_, **__):
        return np.full((len(tokens), 1), np.nan, dtype=np.float32)

    monkeypatch.setattr(reranker.encoder, "run", broken)
    with pytest.raises(InvalidModelError):
        run([pairs], tmp_path / "out", reranker, RERANK)
    assert not list((tmp_path / "out").glob("*.parquet"))
