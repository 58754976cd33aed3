from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder
from tests import tiny
from tests.cli.command import read_terminal, run, run_on_terminal

TEXTS = ["the cat", "", "a dog, «sat»"]


@pytest.fixture(scope="module")
def embedder(tiny_bert) -> Embedder:
    return Embedder(tiny_bert)


def embed(tiny_bert, *arguments: str, stdin: bytes = b""):
    return run("embed", "--model", str(tiny_bert), *arguments, stdin=stdin)


def test_a_table_shows_texts_tokens_numbers_and_similarities(tiny_bert):
    result = embed(tiny_bert, "--no-json", "the cat", "", "a [bold]dog\n")
    assert (result.code, result.err) == (0, "")
    assert "16 numbers per text, at most 24 tokens" in result.out
    for shown in ("the cat", "(empty text)", r"a [bold]dog\n", "cosine similarity", "1.000"):
        assert shown in result.out


def test_a_long_table_says_how_many_texts_it_omits(tiny_bert):
    result = embed(tiny_bert, "--no-json", stdin=b"the cat\n" * 1234)
    assert "… and 1,214 more" in result.out
    assert "cosine similarity" not in result.out


def test_a_program_that_reads_the_output_gets_json_lines(tiny_bert):
    assert embed(tiny_bert, *TEXTS) == embed(tiny_bert, "--json", *TEXTS)


def test_a_control_character_is_written_out_in_json(tiny_bert):
    out = embed(tiny_bert, "--json", "a\x9bcat\x1b").out
    assert out.removesuffix("\n").isprintable()
    assert json.loads(out)["text"] == "a\x9bcat\x1b"


def test_json_has_every_digit_of_float32(tiny_bert, embedder):
    lines = [json.loads(line) for line in embed(tiny_bert, "--json", *TEXTS).out.splitlines()]
    assert [(line["index"], line["text"]) for line in lines] == list(enumerate(TEXTS))
    vectors = np.array([line["vector"] for line in lines], dtype=np.float32)
    assert vectors.tobytes() == embedder.embed_documents(TEXTS).tobytes()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("source", ["stdin", "dash", "option", "file"])
def test_each_line_is_a_text_even_an_empty_one(tiny_bert, tmp_path, newline, source):
    content = ("\ufeff" + newline.join(TEXTS)).encode()
    (tmp_path / "texts.txt").write_bytes(content)
    arguments = {
        "stdin": [],
        "dash": ["-"],
        "option": ["--file", "-"],
        "file": ["--file", str(tmp_path / "texts.txt")],
    }[source]
    result = embed(tiny_bert, "--json", *arguments, stdin=content)
    assert [json.loads(line)["text"] for line in result.out.splitlines()] == TEXTS


def test_npy_jsonl_and_parquet_hold_the_same_vectors(tiny_bert, embedder, tmp_path):
    expected = embedder.embed_documents(TEXTS)
    for suffix in ("npy", "jsonl", "parquet"):
        result = embed(tiny_bert, "--output", str(tmp_path / f"v.{suffix}"), *TEXTS)
        assert (result.code, result.out) == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()]
    np.testing.assert_array_equal(np.array([line["vector"] for line in lines], dtype=np.float32), expected)
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.jsonl", "v.npy", "v.parquet"]


@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_no_texts_give_a_file_without_rows(tiny_bert, tmp_path, suffix):
    out = tmp_path / f"v.{suffix}"
    assert embed(tiny_bert, "--output", str(out), stdin=b"").code == 0
    if suffix == "npy":
        assert np.load(out).shape == (0, 16)
    else:
        assert pq.read_table(out).num_rows == 0


def test_an_output_that_cannot_be_written_is_named(tiny_bert, tmp_path):
    (tmp_path / "folder.npy").mkdir()
    result = embed(tiny_bert, "--output", str(tmp_path / "folder.npy"), "x")
    assert (result.code, "that is a folder" in result.err) == (2, True)
    result = embed(tiny_bert, "--output", "/proc/v.npy", "x")
    assert (result.code, "-o /proc/v.npy: it cannot be written" in result.err) == (2, True)


@pytest.mark.parametrize(("columns", "count"), [("70", 4), ("60", 3), ("30", 1)])
def test_a_number_is_never_cut_short(tiny_bert, monkeypatch, columns, count):
    monkeypatch.setenv("COLUMNS", columns)
    shown = embed(tiny_bert, "--no-json", "a long text about cats and dogs on mats and more of them").out
    numbers = [word for word in shown.split() if word[0] in "+-"]
    assert [len(number) for number in numbers] == [9] * count


def test_a_failure_half_way_keeps_the_existing_file(tiny_bert, tmp_path):
    out = tmp_path / "v.jsonl"
    out.write_text("precious")
    result = embed(tiny_bert, "--output", str(out), stdin=b"the cat\n" * 3000 + b"\xff\xfe\n")
    assert (result.code, out.read_text()) == (2, "precious")
    assert "line 3001 of standard input is not UTF-8 (byte 1 of the line)" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["v.jsonl"]


def test_truncation_is_one_line_of_warning(tiny_bert):
    result = embed(tiny_bert, "--json", stdin=b"cat " * 30 + b"\ncat\n")
    assert result.err.splitlines() == [
        "warning: 1 of 2 texts is longer than the model's 24 tokens (the first is line 1): 8 of 35 tokens (22.9%) are "
        "over the limit and were cut off."
    ]
    assert embed(tiny_bert, "--on-truncation", "cut", "--json", stdin=b"cat " * 30).err == ""
    assert embed(tiny_bert, "--on-truncation", "error", "--json", stdin=b"cat " * 30).code == 2


def test_options_reach_the_embedder(tmp_path):
    folder = tiny.write_model(tmp_path / "m", prompts={"query": "query: ", "other": "dog "})
    embedder = Embedder(folder)
    for arguments, expected in {
        ("--query",): embedder.embed_query("cat"),
        ("--prompt-name", "other"): embedder.embed_query("cat", prompt_name="other"),
        ("--prompt", "dog "): embedder.embed_query("cat", prompt="dog "),
        ("--truncate-dim", "3", "--normalize"): embedder.embed_query("cat", prompt="", truncate_dim=3, normalize=True),
        ("--no-normalize",): embedder.embed_query("cat", prompt="", normalize=False),
        ("--output-dtype", "ubinary"): embedder.embed_query("cat", prompt="", output_dtype="ubinary"),
    }.items():
        (line,) = embed(folder, "--json", *arguments, "cat").out.splitlines()
        np.testing.assert_array_equal(np.array(json.loads(line)["vector"], dtype=expected.dtype), expected)


def test_queries_go_through_the_encoder_of_queries(tmp_path):
    folder = tiny.write_asymmetric_model(tmp_path / "m")
    for arguments, expected in (
        (["--query"], Embedder(folder).embed_query("cat")),
        ([], Embedder(folder).embed_documents(["cat"])[0]),
    ):
        (line,) = embed(folder, "--json", *arguments, "cat").out.splitlines()
        np.testing.assert_array_equal(np.array(json.loads(line)["vector"], dtype=np.float32), expected)


def test_a_table_gives_the_texts_of_its_column(tiny_bert, tmp_path):
    (tmp_path / "t.csv").write_text("id,body\n0,the cat\n1,a dog\n")
    result = embed(tiny_bert, "--json", "-f", str(tmp_path / "t.csv"), "--column", "body")
    assert [json.loads(line)["body"] for line in result.out.splitlines()] == ["the cat", "a dog"]
    result = embed("no/such-model", "-f", str(tmp_path / "t.csv"))
    assert (result.code, "has no column 'text'; its columns are 'id', 'body'" in result.err) == (2, True)


def test_a_text_that_is_the_name_of_a_file_is_embedded_with_a_hint(tiny_bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("the cat\n")
    result = embed(tiny_bert, "--json", "notes.txt", "x" * 5000, "the cat\0")
    assert [json.loads(line)["text"] for line in result.out.splitlines()] == ["notes.txt", "x" * 5000, "the cat\0"]
    assert (
        result.err.splitlines()[0]
        == "hint: notes.txt is a file, but here it is taken as a text. For the texts in it: -f notes.txt"
    )


def test_a_line_of_a_file_is_named_as_people_count_it(tiny_bert, tmp_path):
    (tmp_path / "t.csv").write_text("text\ncat\n" + "cat " * 30 + "\n")
    assert "(the first is row 2)" in embed(tiny_bert, "--json", "-f", str(tmp_path / "t.csv")).err
    assert "(the first is text 1)" in embed(tiny_bert, "--json", "cat", "cat " * 30).err
    result = embed(tiny_bert, "--json", "--on-truncation", "error", stdin=b"cat\n" + b"cat " * 30)
    assert "(the first is line 2)" in result.err
    assert "pass --on-truncation cut to cut them." in result.err


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("count", [2, 2500])
def test_a_table_keeps_its_other_columns(tiny_bert, embedder, tmp_path, ending, count):
    rows = [{"id": number, "body": f"the cat {number}"} for number in range(count)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / f"v{ending}"
    result = embed(tiny_bert, "-f", str(tmp_path / "t.jsonl"), "--column", "body", "-o", str(out))
    assert (result.code, result.err) == (0, f"Wrote {count:,} vectors of 16 numbers to {out}.\n")
    if ending == ".parquet":
        written = pq.read_table(out).to_pylist()
    else:
        written = [json.loads(line) for line in out.read_text().splitlines()]
    vectors = np.array([row.pop("vector") for row in written], dtype=np.float32)
    assert written == rows
    np.testing.assert_array_equal(vectors, embedder.embed_documents([row["body"] for row in rows]))


def test_a_table_with_a_column_of_vectors_is_refused(tiny_bert, tmp_path):
    (tmp_path / "t.csv").write_text("text,vector\ncat,1\n")
    for out in ("v.jsonl", "v.parquet"):
        result = embed(tiny_bert, "-f", str(tmp_path / "t.csv"), "-o", str(tmp_path / out))
        assert (result.code, "t.csv has a column 'vector' already." in result.err) == (2, True)
        assert not (tmp_path / out).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
@pytest.mark.parametrize("command", ["embed", "dedupe"])
def test_progress_is_drawn_from_the_start(tiny_bert, tmp_path, command):
    (tmp_path / "texts.txt").write_text("the cat\n" * 3)
    call = (command, "-f", str(tmp_path / "texts.txt"), "--model", str(tiny_bert))
    shown = run_on_terminal(*call, columns=80, out=tmp_path / "out")
    assert b"Embedding: 0" in shown or b"Embedding:   0%" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
def test_no_progress_is_drawn_beside_lines_that_go_to_another_program(tiny_bert):
    import pty

    main, terminal = pty.openpty()
    call = [sys.executable, "-m", "pellucid", "embed", "-", "--model", str(tiny_bert)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=terminal, stdin=subprocess.PIPE) as process:
        os.close(terminal)
        out, _ = process.communicate(b"the cat\n", timeout=300)
    assert (json.loads(out)["text"], read_terminal(main)) == ("the cat", b"")
    os.close(main)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--column", "body"], "--column needs -f FILE"),
        (["--column", "body"], "--column body is for .csv, .jsonl and .parquet files"),
        (["x", "--json", "--output", "v.npy"], "give --json or -o, not both"),
        (["x", "--file", "f"], "give texts or -f, not both"),
        (["x", "--query", "--prompt", "p"], "give only one of --query, --prompt and --prompt-name"),
        (["x", "--output", "v.csv"], "-o v.csv: the ending must be .npy, .jsonl or .parquet."),
        (["x", "--output", "/nowhere/v.npy"], "there is no folder /nowhere"),
        (["--file", "/nowhere.txt"], "there is no file /nowhere.txt"),
    ],
)
def test_a_wrong_call_is_refused_before_the_model_is_looked_for(arguments, message):
    result = run("embed", "--model", "no/such-model", *arguments)
    assert result.code == 2
    assert message in result.err
