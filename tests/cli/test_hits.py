from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
from rich.console import Console

from pellucid.cli.hits import _describe_rest, _headline, _ordinal, is_related, print_hits
from pellucid.search.hits import Hit
from pellucid.search.rows import Row


def hit(**changes):
    values = {"path": Path("/home/me/notes/a.md"), "file_state": "unchanged", "vector_rank": 1, "text_rank": 3}
    row = {"part": "", "first_line": 12, "last_line": 34, "heading": "Keys"}
    row |= {name: changes.pop(name) for name in row.keys() & changes.keys()}
    score = changes.pop("vector_score", 0.6123)
    row = Row("notes/a.md", "", 1, 1, row["part"], 0, 1, row["first_line"], row["last_line"], "cat", "", row["heading"])
    return Hit(row, 0.03, score, **(values | changes))


def plain(lines):
    return [line.plain for line in lines]


@pytest.mark.parametrize(
    ("changes", "heading", "mode", "width", "place", "score"),
    [
        ({}, "Keys", "hybrid", 80, "/home/me/notes/a.md:12-34  Keys", "cosine 0.612, 1st by meaning, 3rd by words"),
        ({"text_rank": None}, "", "hybrid", 60, "/home/me/notes/a.md:12-34", "cosine 0.612, 1st by meaning"),
        ({}, f"Keys {'and ' * 9}", "vector", 64, f"/home/me/notes/a.md:12-34  Keys {'and ' * 3}an…", "cosine 0.612"),
        ({"last_line": 12}, "", "vector", 40, "/home/me/notes/a.md:12", "cosine 0.612"),
        ({"part": "page 3"}, "", "text", 60, "/home/me/notes/a.md, page 3", "cosine 0.612, BM25 0.03"),
        ({"part": "text"}, "", "vector", 40, "/home/me/notes/a.md", "cosine 0.612"),
        ({"path": None, "file_state": "unknown"}, "", "vector", 35, "notes/a.md:12-34", "cosine 0.612"),
        (
            {"file_state": "changed"},
            "",
            "vector",
            70,
            "/home/me/notes/a.md (changed since it was indexed)",
            "cosine 0.612",
        ),
        ({"measure": "dot"}, "", "vector", 60, "/home/me/notes/a.md:12-34", "score 0.612"),
        ({"measure": "maxsim"}, "", "text", 60, "/home/me/notes/a.md:12-34", "score 0.612, BM25 0.03"),
        ({"measure": "maxsim", "vector_score": -1e9}, "", "vector", 60, "/home/me/notes/a.md:12-34", "no vectors"),
        ({}, "\x1b[1m", "vector", 55, "/home/me/notes/a.md:12-34  \\x1b[1m", "cosine 0.612"),
    ],
)
def test_the_first_line_says_where_a_hit_is_and_at_its_end_how_near(changes, heading, mode, width, place, score):
    (line,) = plain(_headline(12, hit(**changes), heading, mode, width))
    assert line.removeprefix(f"12 {place}").lstrip() == score
    assert len(line) == width


@pytest.mark.parametrize(
    ("heading", "width", "place"),
    [
        ("Keys", 70, "/home/me/notes/a.md:12-34  Keys"),
        ("A long heading with much in it", 50, "/home/me/notes/a.md:12-34  A long heading with…"),
        ("A long heading with much in it", 30, "/home/me/notes/a.md:12-34"),
    ],
)
def test_a_score_gets_its_own_line_where_there_is_no_room(heading, width, place):
    assert plain(_headline(1, hit(), heading, "hybrid", width)) == [
        f" 1 {place}",
        "   cosine 0.612, 1st by meaning, 3rd by words",
    ]


def test_a_path_is_a_link_on_a_terminal_only():
    (line,) = _headline(1, hit(path=Path("/home/me/a\x1b é.md")), "", "vector", 80)
    terminal, pipe = Console(force_terminal=True, width=80, color_system="truecolor"), Console(width=80)
    with terminal.capture() as on_terminal:
        terminal.print(line)
    with pipe.capture() as in_pipe:
        pipe.print(line)
    assert ";file:///home/me/a%1B%20%C3%A9.md\x1b\\" in on_terminal.get()
    assert "\x1b" not in in_pipe.get()


@pytest.mark.parametrize(
    ("number", "expected"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (113, "113th")]
)
def test_a_rank_is_a_word(number, expected):
    assert _ordinal(number) == expected


@pytest.mark.parametrize(
    ("changes", "query", "expected"),
    [
        ({"vector_score": 0.3, "text_rank": None}, "dog", True),
        ({"vector_score": 0.02, "text_rank": None}, "dog", False),
        ({"vector_score": -0.2, "text_rank": None}, "the dog", False),
        ({"vector_score": 0.02, "text_rank": 3}, "dog", True),
        ({"vector_score": 0.02, "text_rank": None, "measure": "dot"}, "dog", True),
        ({"vector_score": 0.0, "text_rank": None, "measure": "dot"}, "dog", False),
        ({"vector_score": -3.0, "text_rank": None, "measure": "maxsim"}, "dog", True),
        ({"vector_score": -1e9, "text_rank": None, "measure": "maxsim"}, "dog", False),
        ({"vector_score": 0.02, "text_rank": None}, "cats", True),  # The text is "cat"; there is no ranking by words.
    ],
)
def test_a_hit_is_related_by_its_meaning_or_its_words(changes, query, expected):
    assert is_related(dataclasses.replace(hit(), **changes), query) == expected


@pytest.mark.parametrize(
    ("shown", "left_out", "expected"),
    [
        (0, 0, "Nothing found."),
        (0, 2, "Nothing found that has much to do with the query. --all shows the nearest 2 chunks."),
        (3, 1, "1 more has little to do with the query. --all shows it."),
        (3, 7, "7 more have little to do with the query. --all shows them."),
    ],
)
def test_what_is_left_out_is_said(shown, left_out, expected):
    assert _describe_rest(shown, left_out) == expected


@pytest.mark.parametrize(
    ("changes", "query", "is_close"),
    [
        ({"vector_score": 0.3}, "dog", True),
        ({"vector_score": 0.2}, "dog", False),
        ({"vector_score": 0.2, "measure": "dot"}, "dog", True),
        ({"vector_score": 0.2, "measure": "maxsim"}, "dog", True),
        ({"vector_score": 0.2}, "the cat", True),
    ],
)
def test_a_search_that_finds_nothing_close_says_so(capsys, changes, query, is_close):
    found = [dataclasses.replace(hit(), text_rank=None, **changes)]
    print_hits(found, len, query, [], mode="vector", full=False)
    assert ("Nothing is close to the query. The nearest:" in capsys.readouterr().out) != is_close
