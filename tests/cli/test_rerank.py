from __future__ import annotations

import json

import pytest

from pellucid import Reranker
from tests import tiny
from tests.causal_rerankers import write_reranker
from tests.cli.command import run

TEXTS = ["the cat sat", "a dog", "", "the [bold]mat[/bold] \x1b[31m", "cat", "dog " * 30]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def rerank(model, *arguments: str, stdin: bytes = b""):
    return run("rerank", "--model", model, "--on-truncation", "cut", *arguments, stdin=stdin)


def records(result):
    return [json.loads(line) for line in result.out.splitlines()]


def test_json_lines_are_ranked_by_score(model, file):
    result = rerank(model, "a cat", str(file))
    found = records(result)
    scores = Reranker(model, on_truncation="cut").score("a cat", TEXTS).tolist()
    lines = sorted((1, 2, 4, 5, 6), key=lambda line: -scores[line - 1])
    assert [record["rank"] for record in found] == [1, 2, 3, 4, 5]
    assert [record["line"] for record in found] == lines
    assert [record["score"] for record in found] == pytest.approx([scores[line - 1] for line in lines], rel=1e-6)
    assert [record["text"] for record in found] == [TEXTS[line - 1] for line in lines]
    assert "\x1b" not in result.out
    assert records(rerank(model, "a cat", "-f", str(file), "-k", "2")) == found[:2]


def test_the_texts_or_the_query_come_from_standard_input_too(model, file):
    expected = rerank(model, "a cat", str(file)).out
    assert rerank(model, "a cat", stdin=file.read_bytes()).out == expected
    assert rerank(model, "-", str(file), stdin=b"a cat\n").out == expected
    result = rerank(model, "-", stdin=b"a cat\n")
    assert (result.code, result.err) == (2, "pellucid: only one of the query and the file can be standard input.\n")


def test_a_table_for_people_has_one_line_for_each_text(model, file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "48")
    header, *rows = rerank(model, "a cat", str(file), "--no-json").out.splitlines()
    assert header.split() == ["score", "line", "text"]
    assert len(rows) == 5
    assert all(len(row) <= 48 for row in rows)
    assert any(r"the [bold]mat[/bold] \x1b[31m" in row for row in rows)
    assert "dog " * 29 in " ".join(rerank(model, "a cat", str(file), "--no-json", "--full").out.split())


def test_rows_of_a_table_are_called_rows(model, tmp_path):
    (tmp_path / "texts.csv").write_text("id,body\n1,the cat\n2,a dog\n")
    found = records(rerank(model, "a dog", str(tmp_path / "texts.csv"), "--column", "body"))
    assert sorted((record["row"], record["text"]) for record in found) == [(1, "the cat"), (2, "a dog")]


def test_the_prompt_goes_before_the_query(model, file):
    assert records(rerank(model, "cat", str(file), "--prompt", "a ")) == records(rerank(model, "a cat", str(file)))


def test_a_text_that_is_too_long_is_named_by_its_line(model, file):
    arguments = ["rerank", "a cat", str(file), "--model", model, "--max-tokens", "24", "--on-truncation"]
    warned = run(*arguments, "warn")
    assert warned.code == 0
    assert "(the first is line 6)" in warned.err
    refused = run(*arguments, "error")
    assert (refused.code, refused.out) == (2, "")
    assert "(the first is line 6)" in refused.err


def test_no_texts_give_no_matches(model):
    assert rerank(model, "a cat", stdin=b"\n \n").out == ""
    assert rerank(model, "a cat", "--no-json").out == "no texts\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a cat", "-k", "0"], "-k must be at least 1."),
        (["a cat", "--prompt", "a", "--prompt-name", "b"], "give --prompt or --prompt-name, not both."),
        (["a cat", "--max-tokens", "4"], "pellucid: --max-tokens 4 leaves no room"),
        (["a cat", "--max-tokens", "99"], "pellucid: --max-tokens 99 must be from 3"),
        (["{file}", "a cat"], "Type the query first: pellucid rerank QUERY {file}"),
        (["a cat", "-m", "{embedder}"], "has no head that scores or classifies"),
    ],
)
def test_a_wrong_call_is_refused_with_a_reason(model, file, tiny_bert, arguments, message):
    places = {"file": file, "embedder": tiny_bert}
    result = rerank(model, *(argument.format(**places) for argument in arguments), stdin=b"x")
    assert (result.code, result.out) == (1 if "{embedder}" in arguments else 2, "")
    assert message.format(**places) in result.err


def test_a_decoder_ranks_too(tmp_path, file):
    folder = write_reranker(tmp_path / "m", "answers")
    scores = Reranker(folder, on_truncation="cut").score("a cat", TEXTS).tolist()
    found = records(rerank(str(folder), "a cat", str(file)))
    assert [record["score"] for record in found] == pytest.approx(
        [scores[record["line"] - 1] for record in found], rel=1e-6
    )
    assert [record["score"] for record in found] == sorted((record["score"] for record in found), reverse=True)
