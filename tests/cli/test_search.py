from __future__ import annotations

import json
import os
import re

import pytest

from pellucid import Reranker
from tests import multi_vector_models, tiny
from tests.cli.command import run

pytest.importorskip("lancedb")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.write_model(tmp_path_factory.mktemp("models") / "m"))


@pytest.fixture(scope="module")
def index(model, tmp_path_factory):
    """The folder of an index of a few notes. The notes are in the folder ``notes`` beside it."""
    folder = tmp_path_factory.mktemp("work")
    notes = folder / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("# the cat\n\nThe cat sat. An okapi sat.\n", encoding="utf-8")
    (notes / "b.txt").write_text("the dog\n", encoding="utf-8")
    (notes / "d\x1b[31m\n.txt").write_text("zebra\t\x1b]0;title\x07 \x9b31m red\nzebra\n", encoding="utf-8")
    (notes / os.fsdecode(b"e\xff.txt")).write_text("a quagga", encoding="utf-8")
    run("index", str(notes), "--index", str(folder / "index"), "--model", model)
    return folder / "index"


def search(index, *arguments, stdin=b""):
    return run("search", *arguments, "--index", str(index), stdin=stdin)


def records(result):
    return [json.loads(line) for line in result.out.splitlines()]


def test_a_path_opens_from_the_current_folder(index, monkeypatch):
    arguments = ("okapi", "-k", "1", "--mode", "text", "--no-json")
    monkeypatch.chdir(index.parent)
    assert search(index, *arguments).out.startswith(" 1 notes/a.md:1-3  the cat ")
    monkeypatch.chdir(index.parent / "notes")
    assert search(index, *arguments).out.startswith(" 1 a.md:1-3  the cat ")
    monkeypatch.chdir(index)
    assert search(index, *arguments).out.startswith(f" 1 {index.parent}/notes/a.md:1-3")


def test_json_has_the_file_the_position_and_the_text(index):
    found = records(search(index, "the dog"))
    assert {line["file"] for line in found} >= {"notes/a.md", "notes/b.txt"}
    for line in found:
        with open(line["path"], encoding="utf-8") as file:  # noqa: PTH123
            assert file.read()[line["start"] : line["end"]] == line["text"]
    assert [line["vector_rank"] for line in found if line["file"] == "notes/b.txt"] == [1]
    assert {line["heading"] for line in found if line["file"] == "notes/a.md"} == {"the cat"}


def test_a_path_that_is_not_utf_8_opens_too(index):
    (line,) = records(search(index, "quagga", "--mode", "text"))
    with open(line["path"], encoding="utf-8") as file:  # noqa: PTH123
        assert file.read() == "a quagga"
    assert line["file"] == "notes/e\\xff.txt"


def test_a_file_that_changed_or_is_gone_is_not_quoted_with_a_line(index, model, tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("the cat")
    (notes / "b.txt").write_text("the dog")
    run("index", str(notes), "--index", str(tmp_path / "index"), "--model", model)
    (notes / "a.txt").write_text("a line more\n\nthe cat")
    (notes / "b.txt").unlink()
    monkeypatch.chdir(tmp_path)
    out = search(tmp_path / "index", "the", "--mode", "vector", "--no-json").out
    assert "notes/a.txt (changed since it was indexed) cosine" in " ".join(out.split())
    assert "notes/b.txt (gone since it was indexed) cosine" in " ".join(out.split())
    states = {line["file"]: line["file_state"] for line in records(search(tmp_path / "index", "the"))}
    assert states == {"notes/a.txt": "changed", "notes/b.txt": "gone"}


@pytest.mark.parametrize("join", [lambda option, value: [option, value], lambda option, value: [f"{option}={value}"]])
def test_the_older_spellings_make_and_search_the_same_index(model, tmp_path, join):
    (tmp_path / "a.txt").write_text("an okapi sat")
    target = str(tmp_path / "index")
    made = run("index", str(tmp_path / "a.txt"), *join("--to", target), "--model", model)
    assert made.out == f"{target} has 1 file in 1 chunk: 1 file new or changed, 1 chunk embedded.\n"
    found = run("search", "okapi", *join("--in", target))
    assert [line["text"] for line in records(found)] == ["an okapi sat"]
    assert found.out == search(target, "okapi").out


def test_without_an_option_the_nearest_index_above_is_searched(model, tmp_path, monkeypatch):
    notes = tmp_path / "notes"
    (notes / "deep").mkdir(parents=True)
    (notes / "a.txt").write_text("an okapi sat")
    monkeypatch.chdir(tmp_path)
    run("index", "notes", "--model", model)
    monkeypatch.chdir(notes / "deep")
    assert [line["file"] for line in records(run("search", "okapi"))] == ["notes/a.txt"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of POSIX")
def test_the_index_of_somebody_else_is_not_searched_unasked(index, model, tmp_path, monkeypatch):
    (tmp_path / "my notes").mkdir()
    (tmp_path / "my notes" / "a.txt").write_text("an okapi sat")
    monkeypatch.chdir(tmp_path / "my notes")
    run("index", ".", "--model", model)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    result = run("search", "okapi")
    assert result.code == 1
    place = tmp_path / "my notes" / ".pellucid-index"
    assert (
        f"{place} belongs to somebody else, or you may not read it. If you trust its owner, name it: --index '{place}'"
        in result.err
    )
    assert run("search", "okapi", "--index", str(place)).code == 0


def test_what_has_little_to_do_with_the_query_is_left_out_for_people(index, monkeypatch):
    monkeypatch.setattr("pellucid.cli.hits._MIN_COSINE", 2.0)
    shown = search(index, "okapi", "-k", "10", "--no-json").out
    assert shown.startswith(" 1 ")
    assert "\n 2 " not in shown
    assert shown.endswith("\n\n3 more have little to do with the query. --all shows them.\n")
    everything = search(index, "okapi", "-k", "10", "--no-json", "--all", "--why").out
    assert "\n 4 " in everything
    assert everything.count("↔") == everything.split("\n 2 ")[0].count("↔") > 0
    assert len(records(search(index, "okapi", "-k", "10"))) == 4


def test_an_excerpt_shows_the_words_and_the_heading_of_their_section(model, tmp_path, monkeypatch):
    sections = [f"## {name}\n\nThe {name} sat on the mat. It is {name}." for name in ("dog", "okapi", "zebra")]
    (tmp_path / "a.md").write_text("\n\n".join(sections))
    monkeypatch.chdir(tmp_path)
    run("index", "a.md", "--model", model)
    for name in ("dog", "okapi", "zebra"):
        headline, excerpt = run("search", name, "--no-json", "-k", "1").out.splitlines()
        assert headline.split()[2] == name
        assert excerpt.strip().startswith(f"The {name} sat on the mat.")


@pytest.mark.parametrize("words", [["the", "dog"], ["the dog"], ["-"]])
def test_a_query_may_be_words_a_text_or_standard_input(index, words):
    found = records(search(index, *words, stdin=b"the dog\n"))
    assert found[0]["file"] == "notes/b.txt"
    assert found == records(search(index, "the dog"))


def test_standard_output_decides_between_json_and_text(index):
    assert search(index, "cat").out.startswith('{"path": ')
    assert search(index, "cat", "--json").out == search(index, "cat").out
    assert search(index, "cat", "--no-json").out.startswith(" 1 ")


def test_why_is_shown_and_is_in_the_json(index):
    (line,) = records(search(index, "okapi", "--mode", "text", "--why"))
    assert line["why"]["cosine"] == pytest.approx(line["cosine"], abs=1e-5)
    assert line["why"]["pairs"]
    assert {"query": "okapi"}.items() <= line["why"]["pairs"][0].items()
    assert {pair["chunk"] for pair in line["why"]["pairs"]} <= {"cat", "sat", "okapi"}
    out = search(index, "okapi", "--mode", "text", "--why", "--no-json").out
    assert "okapi ↔ " in out
    assert "of the cosine" in out


def test_a_passage_sends_no_control_characters_to_the_terminal(index, monkeypatch):
    monkeypatch.chdir(index.parent)
    arguments = ("zebra", "-k", "1", "--mode", "text")
    for more in ((), ("--full",), ("--why",)):
        shown = search(index, *arguments, "--no-json", *more).out
        assert not {"\x1b", "\x07", "\x9b"} & {*shown}
        assert " 1 notes/d\\x1b[31m\\n.txt:1-2 " in shown
    assert "zebra \\x1b]0;title\\x07 \\x9b31m red zebra\n" in search(index, *arguments, "--no-json").out
    assert "\\x1b]0;title\\x07 \\x9b31m red\nzebra\n" in search(index, *arguments, "--no-json", "--full").out
    result = search(index, *arguments)
    assert not {"\x1b", "\x07", "\x9b"} & {*result.out}
    assert records(result)[0]["text"] == "zebra\t\x1b]0;title\x07 \x9b31m red\nzebra"


def test_an_error_sends_no_control_characters_to_the_terminal(tmp_path):
    assert search(tmp_path / "a\x1b[31m", "zebra").err.startswith(
        f"pellucid: there is no index in {tmp_path}/a\\x1b[31m."
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["cat", "--index", "/nowhere"], 1, "there is no index in /nowhere. Make one: pellucid index FOLDER --index"),
        (["cat", "--index", "here"], 1, "/here. Make one: pellucid index FOLDER --index here, or name yours: --index"),
        (["cat", "-k", "0"], 2, "-k must be at least 1"),
        ([], 2, "missing argument"),
        (["-"], 1, "there is no index (.pellucid-index) in /"),
        (["-"], 1, "or in a folder above it. Make one: pellucid index FOLDER, or name yours"),
    ],
)
def test_errors_say_what_to_do(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("search", *arguments)
    assert result.code == code
    assert message in result.err


def test_a_blank_query_is_an_error(index):
    assert search(index, "-", stdin=b" \n").err == "pellucid: the query is blank.\n"


def test_a_query_against_an_empty_index_finds_nothing(tmp_path, model):
    (tmp_path / "empty").mkdir()
    run("index", str(tmp_path / "empty"), "--index", str(tmp_path / "index"), "--model", model)
    assert search(tmp_path / "index", "cat", "--no-json").out == "Nothing found.\n"
    assert search(tmp_path / "index", "cat").out == ""


@pytest.fixture(scope="module", params=["sparse", "multi-vector"])
def other_index(request, tmp_path_factory):
    """The folder of an index of vectors that are not dense."""
    folder = tmp_path_factory.mktemp("work")
    notes = folder / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("# the cat\n\nThe cat sat on a mat. A dog sat.\n", encoding="utf-8")
    (notes / "b.txt").write_text("the dog\n", encoding="utf-8")
    model = folder / "m"
    if request.param == "sparse":
        tiny.write_splade_model(model)
    else:
        multi_vector_models.write_model(model)
    run("index", str(notes), "--index", str(folder / "index"), "--model", str(model), "--task", request.param)
    return folder / "index"


class TestOtherVectors:
    """Those of an index that is not of dense vectors."""

    def test_json_has_the_score_of_the_vectors(self, other_index):
        found = records(search(other_index, "the dog", "--mode", "vector", "--why"))
        assert [line["vector_rank"] for line in found] == list(range(1, len(found) + 1))
        for line in found:
            assert "cosine" not in line
            assert line["vector_score"] == line["score"] > 0
            assert line["why"]["score"] == pytest.approx(line["score"], abs=1e-4)
            assert line["why"].keys() == {"score", "pairs", "frame", "why_no_pairs"}
        assert found[0]["why"]["pairs"][0]["share"] > 0

    def test_people_see_a_score_and_the_ranks(self, other_index):
        out = search(other_index, "the dog", "--no-json", "--why").out
        assert re.search(r" score \d+\.\d{3}, \d(st|nd|rd|th) by meaning, \d(st|nd|rd|th) by words\n", out)
        assert " of the score" in out
        assert "cosine" not in out
        assert re.search(r" score \d+\.\d{3}, BM25 \d", search(other_index, "dog", "--mode", "text", "--no-json").out)

    def test_the_best_chunks_can_be_reranked(self, other_index, reranker):
        found = records(search(other_index, "the dog", "--reranker", reranker))
        scores = [line["rerank_score"] for line in found]
        assert scores == sorted(scores, reverse=True)
        assert "vector_score" in found[0]

    def test_they_cannot_be_searched_approximately(self, other_index):
        result = search(other_index, "dog", "--approximate")
        assert (result.code, result.out) == (2, "")
        assert "cannot be searched approximately" in result.err


@pytest.fixture(scope="module")
def reranker(tmp_path_factory) -> str:
    return str(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "reranker"))


def test_the_best_chunks_can_be_reranked(index, reranker):
    expected = {line["text"]: line for line in records(search(index, "okapi", "-k", "50"))}
    result = search(index, "okapi", "--reranker", reranker, "-k", "2")
    warning, told = result.err.splitlines()
    assert "(the first is notes/d\\x1b[31m\\n.txt:1)" in warning
    assert re.fullmatch(rf"Reranked the best 4 chunks in \d+\.\d\d s with {reranker}\.", told)
    scores = Reranker(reranker, on_truncation="cut").score("okapi", list(expected))
    best = sorted(zip(scores.tolist(), expected, strict=True), reverse=True)[:2]
    found = records(result)
    assert [(line["rerank_score"], line["text"]) for line in found] == best
    for line in found:
        line.pop("rerank_score")
        assert line == expected[line["text"]]


def test_people_see_the_rerank_score_of_every_reranked_chunk(index, reranker):
    out = search(index, "okapi", "--rerank", "--reranker", reranker, "--mode", "vector", "--no-json").out
    assert len(re.findall(r"rerank -?\d\.\d{3}, cosine -?\d\.\d{3}", out)) == 4
    assert "little to do with the query" not in out


def test_a_model_that_is_no_reranker_is_refused(index, model):
    result = search(index, "okapi", "--reranker", model)
    assert (result.code, result.out) == (1, "")
    assert "has no head that scores or classifies" in result.err
