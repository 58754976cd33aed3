from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid import SparseEmbedder, SparseVectors
from tests import tiny
from tests.cli.command import run

TEXTS = ["the cat", "", "a dog, «sat»"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prompts = {"query": "the ", "other": "dog "}
    return tiny.write_splade_model(tmp_path_factory.mktemp("splade") / "m", prompts=prompts)


@pytest.fixture(scope="module")
def embedder(folder) -> SparseEmbedder:
    return SparseEmbedder(folder, on_truncation="cut")


def embed(folder, *arguments: str, stdin: bytes = b""):
    return run("embed", "--task", "sparse", "--model", str(folder), *arguments, stdin=stdin)


def vectors_of(rows, dimensions) -> SparseVectors:
    dense = np.zeros((len(rows), dimensions), dtype=np.float32)
    for number, row in enumerate(rows):
        dense[number, row["indices"]] = row["values"]
    return SparseVectors.from_dense(dense)


def check_equal(found: SparseVectors, expected: SparseVectors) -> None:
    np.testing.assert_array_equal(found.to_dense(), expected.to_dense())


@pytest.mark.parametrize("columns", [30, 60, 80, 160])
def test_a_table_shows_the_heaviest_tokens_that_fit(folder, embedder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    result = embed(folder, "--no-json", "the cat", "", "a [bold]dog and many more words than there is room for\n")
    assert result.code == 0
    terms, vectors = embedder.terms(embedder.embed_query("the cat", prompt="")), embedder.embed_query("", prompt="")
    wanted = [f"{token} {weight:.2f}" for token, weight in terms[0]]
    (row,) = [line for line in result.out.splitlines() if "the cat" in line]
    shown = row.partition("the cat")[2].split("  ")
    found = [each.strip() for each in shown if each.strip() and " " in each.strip()]
    assert found == wanted[: len(found)]
    assert len(found) == {30: 1, 60: 3, 80: 4, 160: 10}[columns]
    if columns > 30:
        assert "(empty text)" in result.out
        assert r"[bold]dog" in result.out
        assert f" {vectors.lengths[0]} " in result.out
        assert "71 dimensions, at most 24 tokens" in result.out
    assert max(map(len, result.out.splitlines()[1:])) <= columns


def test_a_few_texts_are_compared_by_their_dot_products(folder, embedder):
    result = embed(folder, "--no-json", "the cat", "a dog")
    products = embedder.embed_documents(["the cat", "a dog"], prompt="")
    dots = products.dot(products)
    lines = result.out[result.out.index("dot product") :].splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["0", f"{dots[0, 0]:.2f}", f"{dots[0, 1]:.2f}"],
        ["1", f"{dots[1, 0]:.2f}", f"{dots[1, 1]:.2f}"],
    ]
    long = embed(folder, "--no-json", stdin=b"the cat\n" * 1234).out
    assert "… and 1,214 more. To save all vectors: -o vectors.npz" in long
    assert "dot product" not in long


def test_dimensions_that_are_not_tokens_are_shown_by_their_numbers(tmp_path, embedder, monkeypatch):
    def no_terms(*_arguments, **_options):
        from pellucid.errors import UnsupportedModelError

        raise UnsupportedModelError("the dimensions are not tokens.")

    vector = embedder.embed_query("the cat", prompt="")
    best = int(vector.indices[vector.values.argmax()])
    monkeypatch.setattr(SparseEmbedder, "terms", no_terms)
    result = embed(embedder.files.folder, "--no-json", "the cat")
    assert f"{best} {vector.values.max():.2f}" in result.out


def test_json_has_the_places_and_every_digit(folder, embedder):
    result = embed(folder, *TEXTS)
    assert result == embed(folder, "--json", *TEXTS)
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [(row["index"], row["text"]) for row in rows] == list(enumerate(TEXTS))
    check_equal(vectors_of(rows, embedder.dimensions), embedder.embed_documents(TEXTS))


def test_npz_jsonl_and_parquet_hold_the_same_vectors(folder, embedder, tmp_path):
    expected = embedder.embed_documents(TEXTS)
    for suffix in ("npz", "jsonl", "parquet"):
        result = embed(folder, "-o", str(tmp_path / f"v.{suffix}"), *TEXTS)
        numbers = f"{len(expected.values)} numbers in 71 dimensions"
        assert (result.code, result.out) == (0, "")
        assert result.err == f"Wrote 3 sparse vectors with {numbers} to {tmp_path / f'v.{suffix}'}.\n"
    with np.load(tmp_path / "v.npz") as arrays:
        found = SparseVectors(arrays["indices"], arrays["data"], arrays["indptr"], int(arrays["shape"][1]))
        assert arrays["format"].item() == b"csr"
        assert arrays["shape"].tolist() == [3, 71]
    check_equal(found, expected)
    rows = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
    check_equal(vectors_of(rows, 71), expected)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.schema.names == ["text", "indices", "values"]
    assert table.schema.types == [pa.string(), pa.list_(pa.int32()), pa.list_(pa.float32())]
    check_equal(vectors_of(table.to_pylist(), 71), expected)


def test_scipy_reads_the_npz_file(folder, embedder, tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    embed(folder, "-o", str(tmp_path / "v.npz"), *TEXTS)
    matrix = sparse.load_npz(tmp_path / "v.npz")
    assert matrix.format == "csr"
    np.testing.assert_array_equal(matrix.toarray(), embedder.embed_documents(TEXTS).to_dense())


@pytest.mark.parametrize("suffix", ["npz", "parquet"])
def test_no_texts_give_a_file_without_rows(folder, tmp_path, suffix):
    out = tmp_path / f"v.{suffix}"
    assert embed(folder, "-o", str(out), stdin=b"").code == 0
    if suffix == "npz":
        assert np.load(out)["shape"].tolist() == [0, 71]
    else:
        assert pq.read_table(out).num_rows == 0


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_table_keeps_its_other_columns(folder, embedder, tmp_path, ending):
    rows = [{"id": number, "body": f"the cat {number}"} for number in range(2500)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / f"v{ending}"
    assert embed(folder, "-f", str(tmp_path / "t.jsonl"), "--column", "body", "-o", str(out)).code == 0
    if ending == ".parquet":
        written = pq.read_table(out).to_pylist()
    else:
        written = [json.loads(line) for line in out.read_text().splitlines()]
    check_equal(vectors_of(written, 71), embedder.embed_documents([row["body"] for row in rows]))
    assert [{name: row[name] for name in ("id", "body")} for row in written] == rows


def test_a_table_with_one_of_the_columns_is_refused(folder, tmp_path):
    (tmp_path / "t.csv").write_text("text,values\ncat,1\n")
    result = embed(folder, "-f", str(tmp_path / "t.csv"), "-o", str(tmp_path / "v.jsonl"))
    assert (result.code, "t.csv has a column 'values' already." in result.err) == (2, True)
    assert embed(folder, "-f", str(tmp_path / "t.csv"), "-o", str(tmp_path / "v.npz")).code == 0


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("--query",), {"prompt_name": "query"}),
        (("--prompt-name", "other"), {"prompt_name": "other"}),
        (("--prompt", "dog "), {"prompt": "dog "}),
        (("--max-active-dims", "3"), {"max_active_dims": 3}),
    ],
)
def test_options_reach_the_embedder(folder, embedder, arguments, options):
    rows = [json.loads(line) for line in embed(folder, *arguments, "cat").out.splitlines()]
    check_equal(vectors_of(rows, 71), embedder.embed_documents(["cat"], **options))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--normalize"], "--normalize is for dense vectors. The length of a sparse vector counts"),
        (["--no-normalize"], "--normalize is for dense vectors"),
        (["--truncate-dim", "3"], "--truncate-dim is for dense vectors. To shorten sparse vectors, give --max-active"),
        (["--output-dtype", "binary"], "--output-dtype is for dense vectors. The numbers of sparse vectors are float"),
        (["-o", "v.npy"], "-o v.npy: a .npy file has one dense array. For sparse vectors, the ending must be .npz"),
        (["-o", "v.csv"], "-o v.csv: the ending must be .npz, .jsonl or .parquet."),
        (["-m", "all-MiniLM-L6-v2"], "gives dense vectors. For --task sparse, name another model"),
        (["--task", "dense", "--max-active-dims", "3"], "--max-active-dims needs --task sparse. To shorten dense"),
        (["--task", "dense", "-o", "v.npz"], "-o v.npz: the ending must be .npy, .jsonl or .parquet."),
    ],
)
def test_a_wrong_call_is_refused_before_the_model_is_looked_for(arguments, message):
    result = embed("no/such-model", "x", *arguments)
    assert result.code == 2
    assert message in result.err


def test_an_inference_free_model_embeds_documents_and_refuses_queries(tmp_path):
    folder = tiny.write_inference_free_model(tmp_path / "m")
    rows = [json.loads(line) for line in embed(folder, "the cat").out.splitlines()]
    check_equal(vectors_of(rows, 71), SparseEmbedder(folder).embed_documents(["the cat"]))
    refused = embed(folder, "--query", "the cat")
    assert (refused.code, "Use SparseEmbedder.embed_query in Python." in refused.err) == (2, True)


def test_a_model_of_the_other_kind_says_what_to_use(folder, tiny_bert):
    dense = run("embed", "--model", str(folder), "x")
    words = "gives sparse vectors. Use SparseEmbedder, or --task sparse"
    assert (dense.code, words in dense.err) == (1, True)
    sparse = embed(tiny_bert, "x")
    assert (sparse.code, "gives no sparse vectors" in sparse.err) == (1, True)
