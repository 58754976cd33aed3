from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid import Classifier, Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder
from pellucid.cache.store import Cache
from tests import multi_vector_models, tiny
from tests.cli.command import run

LONG = "cat " * 100


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"query": "the "}))


@pytest.fixture
def source(tmp_path):
    rows = [{"body": "the cat", "n": 1}, {"body": LONG, "n": 2}, {"n": 3}, {"body": "a dog", "n": 4}]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_table_becomes_a_table_of_vectors(tmp_path, source, model):
    out = tmp_path / "out"
    arguments = ["batch", str(source), "-o", str(out), "--model", model, "--column", "body"]
    result = run(*arguments, "--vector-column", "v", "--prompt-name", "query")
    assert result.code == 3, result.err
    assert result.out.startswith(f"3 rows in 1 file in {out}; this run: 3 texts in ")
    assert "1 text too long: 79 tokens cut off" in result.err
    assert "1 row rejected: " in result.err
    table = pq.read_table(out / "in-000000000000-000000000004.parquet")
    expected = Embedder(model, on_truncation="ignore").embed_documents(["the cat", LONG, "a dog"], prompt_name="query")
    assert table["n"].to_pylist() == [1, 2, 4]
    assert table["v"].to_pylist() == expected.tolist()
    assert json.loads((out / "_report.json").read_text())["rejected"] == 1
    again = run(*arguments, "--vector-column", "v", "--prompt-name", "query")
    assert "3 rows in 1 file (1 from earlier runs)" in again.out
    other = run(*arguments, "--vector-column", "v")
    assert other.code == 1
    assert "contains a job with different options: prompt 'the ', not ''" in other.err


def test_the_exit_status_tells_all_rows_from_some_rows_and_from_a_refused_job(tmp_path, model):
    (tmp_path / "good.jsonl").write_text('{"text": "the cat"}\n')
    (tmp_path / "some.jsonl").write_text('{"text": "the cat"}\n{}\n')

    def batch(name: str, *arguments: str):
        return run("batch", str(tmp_path / f"{name}.jsonl"), "-o", str(tmp_path / name), "-m", model, *arguments).code

    assert [batch(name) for name in ("good", "some", "none")] == [0, 3, 1]
    assert [batch(name) for name in ("good", "some")] == [0, 3]  # The same when there is nothing left to do.
    assert batch("good", "--prompt", "other") == 1


@pytest.mark.parametrize(
    ("choice", "rows", "warns", "code"), [("warn", 2, True, 0), ("cut", 2, False, 0), ("error", 1, False, 3)]
)
def test_a_text_that_is_too_long_is_cut_or_its_row_is_rejected(tmp_path, model, choice, rows, warns, code):
    (tmp_path / "in.txt").write_text(f"the cat\n{LONG}\n")
    arguments = ["-o", str(tmp_path / "out"), "--model", model, "--on-truncation", choice, "--json"]
    result = run("batch", str(tmp_path / "in.txt"), *arguments)
    report = json.loads(result.out)
    assert (report["rows"], report["folder"], result.code) == (rows, str(tmp_path / "out"), code)
    assert ("too long" in result.err) == warns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "a", "--prompt-name", "query"], "not both"),
        (["--address", "x"], "need --engine ray"),
        (["--cpus-per-actor", "2"], "need --engine ray"),
        (["--dtype", "int8", "--device", "cuda"], "--dtype int8 is not supported by engine='auto' on 'cuda'"),
        (["--engine", "ray", "--cache", "c"], "--cache is a file on this machine"),
        (["--engine", "ray", "--revision", "v1"], "--revision does not work with --engine ray"),
        (["--revision", "a..b/.."], "--revision a..b/.. must be the name of a branch or tag, or a commit"),
        (["--rows-per-file", "0"], "rows_per_file must be at least 1"),
        (["--prompt-name", "none"], "has no prompt 'none'"),
    ],
)
def test_a_wrong_call_is_refused_with_a_reason(tmp_path, source, model, arguments, message):
    result = run("batch", str(source), "-o", str(tmp_path / "out"), "--model", model, *arguments)
    assert result.code == 2
    assert message in result.err


def test_a_missing_input_is_an_error(tmp_path, model):
    result = run("batch", str(tmp_path / "none"), "-o", str(tmp_path / "out"), "--model", model)
    assert result.code == 1
    assert "matches no file" in result.err


def test_a_table_without_a_usable_row_is_an_error(tmp_path, model):
    (tmp_path / "in.jsonl").write_text('{"body": "the cat"}\n')
    result = run("batch", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out"), "--model", model)
    assert result.code == 1
    assert "no row could be used; 1 row rejected. The first: it has no 'text'." in result.err


def test_control_characters_in_names_are_written_out(tmp_path, model):
    bad = tmp_path / "a\x1b[31m"
    bad.mkdir()
    (bad / "in.txt").write_text("the cat\n")
    result = run("batch", str(bad / "in.txt"), "-o", str(bad / "out"), "--model", model)
    assert result.code == 0, result.err
    assert "a\\x1b[31m" in result.out
    for arguments in ([str(bad / "none")], [str(bad / "in.txt"), "--vector-column", "text"]):
        result = run("batch", *arguments, "-o", str(bad / "more"), "--model", model)
        assert result.code == 1
        assert "\x1b" not in result.err


@pytest.fixture(scope="module")
def scorers(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("scorers")
    models = {"rerank": 1, "classify": 3}
    return {task: str(tiny.write_scoring_model(folder / task, labels=labels)) for task, labels in models.items()}


def test_pairs_get_scores(tmp_path, scorers):
    (tmp_path / "in.csv").write_text("q,body\nthe cat,a dog\nthe cat,a mat\nthe cat,a dog\n")
    out = tmp_path / "out"
    arguments = ["batch", str(tmp_path / "in.csv"), "-o", str(out), "--task", "rerank", "-m", scorers["rerank"]]
    arguments += ["--query-column", "q", "--column", "body"]
    result = run(*arguments)
    assert result.code == 0, result.err
    assert result.out.startswith(f"3 rows in 1 file in {out}; this run: 2 pairs in ")
    expected = Reranker(scorers["rerank"]).score("the cat", ["a dog", "a mat", "a dog"])
    assert pq.read_table(next(out.glob("*.parquet")))["score"].to_pylist() == expected.tolist()
    assert "3 rows in 1 file (1 from earlier runs)" in run(*arguments).out
    other = run(*arguments, "--prompt", "the ")
    assert (other.code, "different options: prompt '', not 'the '" in other.err) == (1, True)


def test_texts_or_pairs_get_labels(tmp_path, scorers):
    (tmp_path / "in.csv").write_text("text,reply\nthe cat,a dog\nthe mat,a bird\n")
    classifier = Classifier(scorers["classify"])
    for name, more in (("texts", []), ("pairs", ["--second-column", "reply"])):
        out = tmp_path / name
        arguments = ["-o", str(out), "--task", "classify", "-m", scorers["classify"], *more]
        result = run("batch", str(tmp_path / "in.csv"), *arguments)
        assert result.code == 0, result.err
        texts = ["the cat", "the mat"] if name == "texts" else [("the cat", "a dog"), ("the mat", "a bird")]
        table = pq.read_table(next(out.glob("*.parquet")))
        assert table["label"].to_pylist() == classifier.classify(texts)
        assert table["probability"].to_pylist() == classifier.probabilities(texts).max(axis=1).tolist()


def test_texts_get_sparse_vectors(tmp_path):
    folder = tiny.write_splade_model(tmp_path / "m", prompts={"other": "dog "})
    (tmp_path / "in.csv").write_text("id,body\n1,the cat\n2,a dog\n")
    arguments = ["batch", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out"), "--task", "sparse", "-m", str(folder)]
    arguments += ["--column", "body", "--max-active-dims", "3", "--prompt-name", "other", "--indices-column", "tokens"]
    result = run(*arguments)
    assert result.code == 0, result.err
    expected = SparseEmbedder(folder).embed_documents(["the cat", "a dog"], max_active_dims=3, prompt="dog ")
    table = pq.read_table(next((tmp_path / "out").glob("*.parquet")))
    assert table.column_names == ["id", "body", "tokens", "values"]
    assert table["tokens"].to_pylist() == [vector.indices.tolist() for vector in expected]
    assert table["values"].to_pylist() == [vector.values.tolist() for vector in expected]
    assert "2 rows in 1 file (1 from earlier runs)" in run(*arguments).out


def test_texts_get_a_vector_for_each_token(tmp_path):
    folder = multi_vector_models.write_model(tmp_path / "m", prompts={"document": "dog ", "other": "cat "})
    (tmp_path / "in.csv").write_text("id,body\n1,the cat\n2,a dog\n")
    arguments = ["batch", str(tmp_path / "in.csv"), "--task", "multi-vector", "-m", str(folder), "--column", "body"]
    arguments += ["--cache", str(tmp_path / "vectors.db")]
    embedder = MultiVectorEmbedder(folder)
    for name, prompt, column, more in (
        ("out", None, "vectors", []),
        ("again", None, "vectors", []),
        ("other", "cat ", "v", ["--prompt-name", "other", "--vector-column", "v", "--rows-per-file", "1"]),
    ):
        result = run(*arguments, "-o", str(tmp_path / name), *more)
        assert result.code == 0, result.err
        expected = embedder.embed_documents(["the cat", "a dog"], prompt=prompt)
        parts = sorted((tmp_path / name).glob("*.parquet"))
        assert len(parts) == (2 if more else 1)
        table = pa.concat_tables(map(pq.read_table, parts))
        assert table.column_names == ["id", "body", column]
        assert table[column].to_pylist() == [vectors.tolist() for vectors in expected]
    assert Cache(tmp_path / "vectors.db").state().vectors == 4
    report = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert report["job"]["options"]["rows_per_file"] == 1024


@pytest.mark.parametrize(
    ("task", "options", "columns"),
    [
        ("rerank", ["--score-column", "fit"], ["query", "text", "score", "label", "fit"]),
        (
            "classify",
            ["--label-column", "found", "--probability-column", "p"],
            ["query", "text", "score", "label", "found", "p"],
        ),
    ],
)
def test_a_table_that_has_such_columns_already_needs_other_names(tmp_path, scorers, task, options, columns):
    (tmp_path / "in.csv").write_text("query,text,score,label\na,the cat,1,x\n")
    arguments = ["batch", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out"), "--task", task, "-m", scorers[task]]
    taken = run(*arguments)
    assert taken.code == 1
    assert f"already. Choose another name with {options[0]}." in taken.err
    renamed = run(*arguments, *options)
    assert renamed.code == 0, renamed.err
    assert pq.read_table(next((tmp_path / "out").glob("*.parquet"))).column_names == columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "rerank", "--vector-column", "v"], "--vector-column needs --task embed or multi-vector."),
        (["--task", "rerank", "--cache", "c"], "--cache needs --task embed, sparse or multi-vector."),
        (["--task", "classify", "--normalize"], "--normalize needs --task embed."),
        (["--task", "classify", "--query-column", "q"], "--query-column needs --task rerank."),
        (["--second-column", "b"], "--second-column needs --task classify."),
        (["--score-column", "s"], "--score-column needs --task rerank."),
        (["--label-column", "l"], "--label-column needs --task classify."),
        (["--task", "rerank", "--probability-column", "p"], "--probability-column needs --task classify."),
        (["--task", "classify"], "--task classify needs a model: -m MODEL."),
        (["--task", "sparse"], "--task sparse needs a model: -m MODEL."),
        (["--task", "sparse", "--normalize"], "--normalize needs --task embed."),
        (["--task", "sparse", "--truncate-dim", "3"], "--truncate-dim needs --task embed."),
        (["--task", "sparse", "--output-dtype", "int8"], "--output-dtype needs --task embed."),
        (["--max-active-dims", "3"], "--max-active-dims needs --task sparse."),
        (["--values-column", "v"], "--values-column needs --task sparse."),
        (["--task", "multi-vector"], "--task multi-vector needs a model: -m MODEL."),
        (["--task", "multi-vector", "--normalize"], "--normalize needs --task embed."),
        (["--task", "multi-vector", "--truncate-dim", "3"], "--truncate-dim needs --task embed."),
        (["--task", "multi-vector", "--output-dtype", "float16"], "--output-dtype needs --task embed."),
        (["--task", "multi-vector", "--max-active-dims", "3"], "--max-active-dims needs --task sparse."),
        (["--task", "sparse", "--vector-column", "v"], "--vector-column needs --task embed or multi-vector."),
    ],
)
def test_an_option_of_another_task_is_refused(tmp_path, source, arguments, message):
    result = run("batch", str(source), "-o", str(tmp_path / "out"), *arguments)
    assert (result.code, result.err) == (2, f"pellucid: {message}\n")
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_no_reranker_is_refused(tmp_path, source, model):
    result = run("batch", str(source), "-o", str(tmp_path / "out"), "--task", "rerank", "-m", model)
    assert result.code == 1
    assert "has no head that scores or classifies" in result.err


def test_lines_are_no_pairs(tmp_path):
    (tmp_path / "in.txt").write_text("the cat\n")
    folder = tiny.write_scoring_model(tmp_path / "m")
    arguments = ["batch", str(tmp_path / "in.txt"), "-o", str(tmp_path / "out"), "--task", "rerank", "-m", str(folder)]
    result = run(*arguments)
    assert result.code == 1
    assert "Choose one with --query-column. A pair needs two columns of texts." in result.err
