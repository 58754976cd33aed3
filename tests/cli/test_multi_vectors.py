from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder, MultiVectorEmbedder, MultiVectors, SparseEmbedder
from pellucid.cache.store import Cache
from tests import tiny
from tests.cli.command import run
from tests.multi_vector_models import FIXED, WIDTH, write_model

TEXTS = ["the cat", "", "a dog, «sat»"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = {"query": "query: ", "document": "the ", "other": "dog "}
    return write_model(tmp_path_factory.mktemp("multi") / "m", expansion=FIXED, document_length=20, prompts=prompts)


@pytest.fixture(scope="module")
def embedder(folder) -> MultiVectorEmbedder:
    return MultiVectorEmbedder(folder, on_truncation="cut")


def embed(folder, *arguments: str, stdin: bytes = b""):
    return run("embed", "--task", "multi-vector", "--model", str(folder), *arguments, stdin=stdin)


def vectors_of(rows) -> MultiVectors:
    return MultiVectors.concatenate([np.array(row["vectors"], dtype=np.float32).reshape(-1, WIDTH) for row in rows])


def check_equal(found: MultiVectors, expected: MultiVectors) -> None:
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    np.testing.assert_array_equal(found.vectors, expected.vectors)


@pytest.mark.parametrize("columns", [30, 60, 80, 160])
def test_a_table_shows_the_tokens_that_have_vectors(folder, embedder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    texts = ["the cat", "", "a [bold]dog and many more words than there is room for\n", ". ,"]
    result = embed(folder, "--no-json", "--on-truncation", "cut", *texts)
    assert result.code == 0
    lines = result.out.splitlines()
    assert max(map(len, lines[1:])) <= columns
    rows = {
        text: next(line for line in lines if line.partition("  ")[2].startswith(text)) for text in ("the cat", ". ,")
    }
    assert rows["the cat"].split()[3] == "5"
    assert ("[CLS] the the cat [SEP]" in rows["the cat"]) == (columns > 30)
    assert rows[". ,"].split()[3] == "3", "punctuation has no vectors"
    assert r"[bold]dog" in result.out
    assert "(empty text)" in result.out
    assert (" …" in next(line for line in lines if "[bold]dog" in line)[columns // 2 :]) == (30 < columns < 160)
    assert "".join(lines[1:3]).startswith("6 numbers per vector, at most 20 tokens")


def test_queries_are_embedded_as_queries(folder, embedder):
    result = embed(folder, "--no-json", "--query", "the cat")
    assert "at most 12 tokens" in result.out
    assert "[CLS] query : the cat [SEP] [MASK]" in result.out
    rows = [json.loads(line) for line in embed(folder, "--query", *TEXTS).out.splitlines()]
    check_equal(vectors_of(rows), embedder.embed_queries(TEXTS))


def test_a_long_list_of_texts_is_not_printed_whole(folder):
    result = embed(folder, "--no-json", stdin=b"the cat\n" * 25)
    assert len([line for line in result.out.splitlines() if "[CLS]" in line]) == 20
    assert "… and 5 more. To save all vectors: -o vectors.npz, .jsonl or .parquet" in result.out


def test_json_has_every_vector_and_every_digit(folder, embedder):
    rows = [json.loads(line) for line in embed(folder, *TEXTS).out.splitlines()]
    assert [(row["index"], row["text"]) for row in rows] == list(enumerate(TEXTS))
    check_equal(vectors_of(rows), embedder.embed_documents(TEXTS))


def test_npz_jsonl_and_parquet_hold_the_same_vectors(folder, embedder, tmp_path):
    expected = embedder.embed_documents(TEXTS)
    stdin = "\n".join(TEXTS).encode()
    for ending in ("npz", "jsonl", "parquet"):
        out = tmp_path / f"v.{ending}"
        result = embed(folder, "-o", str(out), stdin=stdin)
        count = len(expected.vectors)
        assert result.err == f"Wrote {count} vectors of {WIDTH} numbers, for 3 texts, to {out}.\n"
    with np.load(tmp_path / "v.npz") as file:
        assert sorted(file) == ["offsets", "vectors"]
        check_equal(MultiVectors(file["vectors"], file["offsets"]), expected)
        assert (file["vectors"].dtype, file["offsets"].dtype) == (np.float32, np.int32)
    check_equal(vectors_of([json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]), expected)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.schema.field("vectors").type == pa.list_(pa.list_(pa.float32(), WIDTH))
    assert table["text"].to_pylist() == TEXTS
    check_equal(vectors_of(table.to_pylist()), expected)


def test_a_stream_of_several_windows_gives_the_same(folder, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(MultiVectorEmbedder, "texts_per_window", 2)
    texts = ["the cat", "a dog", ", .", "the", "a mat"]
    out = tmp_path / "v.npz"
    assert embed(folder, "-o", str(out), stdin="\n".join(texts).encode()).code == 0
    with np.load(out) as file:
        check_equal(MultiVectors(file["vectors"], file["offsets"]), embedder.embed_documents(texts))


@pytest.mark.parametrize("suffix", ["npz", "parquet", "jsonl"])
def test_no_texts_give_a_file_without_rows(folder, tmp_path, suffix):
    out = tmp_path / f"v.{suffix}"
    assert embed(folder, "-o", str(out)).code == 0
    if suffix == "npz":
        with np.load(out) as file:
            assert (file["vectors"].shape, file["offsets"].tolist()) == ((0, WIDTH), [0])
    elif suffix == "parquet":
        assert pq.read_table(out).num_rows == 0
    else:
        assert out.read_text() == ""


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_table_keeps_its_other_columns(folder, embedder, tmp_path, ending):
    (tmp_path / "in.csv").write_text("id,body\n7,the cat\n8,a dog\n")
    out = tmp_path / f"out{ending}"
    result = embed(folder, "-f", str(tmp_path / "in.csv"), "--column", "body", "-o", str(out))
    assert result.code == 0, result.err
    rows = (
        pq.read_table(out).to_pylist() if ending == ".parquet" else list(map(json.loads, out.read_text().splitlines()))
    )
    assert [(row["id"], row["body"]) for row in rows] == [("7", "the cat"), ("8", "a dog")]
    check_equal(vectors_of(rows), embedder.embed_documents(["the cat", "a dog"]))


def test_a_table_with_such_a_column_is_refused(folder, tmp_path):
    (tmp_path / "in.csv").write_text("text,vectors\nthe cat,1\n")
    result = embed(folder, "-f", str(tmp_path / "in.csv"))
    assert (result.code, "has a column 'vectors' already" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "prompt"),
    [
        ([], "the "),
        (["--prompt", "a "], "a "),
        (["--prompt-name", "other"], "dog "),
        (["--prompt", ""], ""),
    ],
)
def test_prompts_reach_the_embedder(folder, embedder, arguments, prompt):
    rows = [json.loads(line) for line in embed(folder, *arguments, "cat").out.splitlines()]
    check_equal(vectors_of(rows), embedder.embed_documents(["cat"], prompt=prompt))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--normalize"], "--normalize is for dense vectors. With --task multi-vector, the model decides."),
        (["--truncate-dim", "3"], "--truncate-dim is for dense vectors. With --task multi-vector, vectors stay whole."),
        (["--output-dtype", "float16"], "--output-dtype is for dense vectors. With --task multi-vector, the numbers"),
        (["--max-active-dims", "3"], "--max-active-dims needs --task sparse."),
        (
            ["-o", "v.npy"],
            "a .npy file has one dense array. For several vectors for each text, the ending must be .npz",
        ),
        (["-o", "v.csv"], "-o v.csv: the ending must be .npz, .jsonl or .parquet."),
        (["-m", "all-MiniLM-L6-v2"], "gives dense vectors. For --task multi-vector, name another model"),
        (["--query", "--prompt", "a"], "give only one of --query, --prompt and --prompt-name."),
    ],
)
def test_a_wrong_call_is_refused_before_the_model_is_looked_for(arguments, message):
    result = embed("no/such-model", "x", *arguments)
    assert result.code == 2
    assert message in result.err


def test_a_prompt_that_the_model_does_not_have_is_refused(folder):
    result = embed(folder, "x", "--prompt-name", "none")
    assert (result.code, "none" in result.err) == (2, True)


def test_a_cache_serves_every_task(folder, tmp_path, texts_run):
    cache = tmp_path / "vectors.db"
    models = {
        "multi-vector": (folder, MultiVectorEmbedder),
        "sparse": (tiny.write_splade_model(tmp_path / "splade"), SparseEmbedder),
        "dense": (tiny.write_model(tmp_path / "dense"), Embedder),
    }
    for number, (task, (model, _)) in enumerate(models.items(), start=1):
        results = [run("embed", "--task", task, "-m", str(model), "--cache", str(cache), "the cat") for _ in range(2)]
        assert results[0].out == results[1].out == run("embed", "--task", task, "-m", str(model), "the cat").out
        assert texts_run == [0, 1, 0, 0, 0, 1]
        del texts_run[:]
        assert Cache(cache).state().vectors == number
    wrong = run("embed", "-m", str(models["dense"][0]), "--cache", str(tmp_path), "the cat")
    assert (wrong.code, "is not a regular file" in wrong.err) == (1, True)
