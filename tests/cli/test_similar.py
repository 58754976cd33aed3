from __future__ import annotations

import json

import pytest

from pellucid import Embedder
from tests.cli.command import run

TEXTS = ["the cat sat", "a dog", "", "the [bold]mat[/bold] \x1b[31m", "cat", "dog " * 30]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def similar(tiny_bert, *arguments: str, stdin: bytes = b""):
    return run("similar", "--model", str(tiny_bert), "--on-truncation", "cut", *arguments, stdin=stdin)


def test_json_lines_are_ranked_by_cosine(tiny_bert, file):
    result = similar(tiny_bert, "a cat", str(file))
    records = [json.loads(line) for line in result.out.splitlines()]
    embedder = Embedder(tiny_bert, on_truncation="ignore")
    cosines = {
        number: match.score
        for number, text in enumerate(TEXTS, 1)
        if text
        for match in embedder.most_similar("a cat", [text])
    }
    assert [record["rank"] for record in records] == [1, 2, 3, 4, 5]
    assert [record["line"] for record in records] == sorted(cosines, key=cosines.__getitem__, reverse=True)
    assert all(record["cosine"] == pytest.approx(cosines[record["line"]], abs=2e-6) for record in records)
    assert all(record["text"] == TEXTS[record["line"] - 1] for record in records)
    assert "\x1b" not in result.out


def test_the_file_can_be_given_with_f(tiny_bert, file):
    assert similar(tiny_bert, "a cat", "-f", str(file)).out == similar(tiny_bert, "a cat", str(file)).out


def test_a_text_and_a_file_that_were_swapped_are_named(tiny_bert, file):
    result = similar(tiny_bert, str(file), "a cat")
    assert result.code == 2
    assert result.err.endswith(f"Type the text first: pellucid similar TEXT {file}\n")


def test_a_text_that_is_a_file_gets_a_hint(tiny_bert, file):
    result = similar(tiny_bert, str(file), str(file))
    assert (result.code, result.err.startswith(f"hint: {file} is a file, but here it is taken as a text.")) == (0, True)


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_texts_come_from_standard_input_too(tiny_bert, file, arguments):
    piped = similar(tiny_bert, "a cat", *arguments, "-k", "2", stdin=file.read_bytes())
    assert piped.out == similar(tiny_bert, "a cat", str(file), "-k", "2").out


def test_the_text_comes_from_standard_input_too(tiny_bert, file):
    assert similar(tiny_bert, "-", str(file), stdin=b"a cat\n").out == similar(tiny_bert, "a cat", str(file)).out
    result = similar(tiny_bert, "-", stdin=b"a cat\n")
    assert (result.code, result.err) == (2, "pellucid: only one of the text and the file can be standard input.\n")
    assert "standard input is not UTF-8 (byte 1)" in similar(tiny_bert, "-", str(file), stdin=b"\xff").err


def test_a_table_for_people_has_one_line_for_each_text(tiny_bert, file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "48")
    result = similar(tiny_bert, "a cat", str(file), "--no-json")
    header, *rows = result.out.splitlines()
    assert header.split() == ["cosine", "line", "text"]
    assert len(rows) == 5
    assert all(len(row) <= 48 for row in rows)
    assert r"the [bold]mat[/bold] \x1b[31m" in result.out
    assert "…" in result.out
    assert "dog " * 29 in " ".join(similar(tiny_bert, "a cat", str(file), "--no-json", "--full").out.split())


def test_rows_of_a_table_are_called_rows(tiny_bert, tmp_path):
    (tmp_path / "texts.csv").write_text("id,body\n1,the cat\n2,a dog\n")
    result = similar(tiny_bert, "a dog", str(tmp_path / "texts.csv"), "--column", "body", "-k", "1")
    assert json.loads(result.out) == {"rank": 1, "cosine": 1.0, "row": 2, "text": "a dog"}


def test_no_texts_give_no_matches(tiny_bert):
    assert similar(tiny_bert, "a cat", stdin=b"\n \n").out == ""
    assert similar(tiny_bert, "a cat", "--no-json", stdin=b"").out == "no texts\n"


def test_a_wrong_count_is_an_error(tiny_bert):
    result = similar(tiny_bert, "a cat", "-k", "0", stdin=b"x")
    assert (result.code, result.err) == (2, "pellucid: -k must be at least 1.\n")
