from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
from rich.console import Console

from pellucid.cli.hits import Why, WordPair, _code, _describe_why, _headline, _passage
from pellucid.search.hits import Hit
from pellucid.search.passages import sentences
from pellucid.search.rows import Row

CHUNK = (
    "# Keys\n\nA key is a digest. It has the\nmodel's files in it. The cache finds a vector by its key. "
    "Nothing else is needed for that."
)
BEST = (CHUNK.index("The cache"), CHUNK.index(" Nothing"))


def hit(**changes):
    values = {"path": Path("/home/me/notes/a.md"), "file_state": "unchanged", "vector_rank": 1, "text_rank": 3}
    row = {"part": "", "first_line": 12, "last_line": 34, "heading": "Keys"}
    row |= {name: changes.pop(name) for name in row.keys() & changes.keys()}
    row = Row("notes/a.md", "", 1, 1, row["part"], 0, 1, row["first_line"], row["last_line"], "cat", "", row["heading"])
    return Hit(row, 0.03, 0.6123, **(values | changes))


def plain(lines):
    return [line.plain for line in lines]


@pytest.mark.parametrize(
    ("changes", "mode", "width", "place", "score"),
    [
        ({}, "hybrid", 80, "/home/me/notes/a.md:12-34  Keys", "cosine 0.612, meaning #1, words #3"),
        ({"text_rank": None}, "hybrid", 60, "/home/me/notes/a.md:12-34", "cosine 0.612, meaning #1"),
        ({"heading": "Keys of it"}, "vector", 53, "/home/me/notes/a.md:12-34  Keys of …", "cosine 0.612"),
        ({"last_line": 12}, "vector", 40, "/home/me/notes/a.md:12", "cosine 0.612"),
        ({"part": "page 3"}, "text", 60, "/home/me/notes/a.md, page 3", "cosine 0.612, BM25 0.03"),
        ({"part": "text"}, "vector", 40, "/home/me/notes/a.md", "cosine 0.612"),
        ({"path": None, "file_state": "unknown"}, "vector", 35, "notes/a.md:12-34", "cosine 0.612"),
        ({"file_state": "changed"}, "vector", 70, "/home/me/notes/a.md (changed since it was indexed)", "cosine 0.612"),
        ({"heading": "\x1b[1m"}, "vector", 55, "/home/me/notes/a.md:12-34  \\x1b[1m", "cosine 0.612"),
    ],
)
def test_the_first_line_says_where_a_hit_is_and_at_its_end_how_near(changes, mode, width, place, score):
    (line,) = plain(_headline(12, hit(**changes), mode, width))
    assert line.removeprefix(f"12 {place}").lstrip() == score
    assert len(line) == width


def test_a_score_gets_its_own_line_where_there_is_no_room():
    assert plain(_headline(1, hit(), "hybrid", 60)) == [
        " 1 /home/me/notes/a.md:12-34  Keys",
        "   cosine 0.612, meaning #1, words #3",
    ]


def test_a_path_is_a_link_on_a_terminal_only():
    (line,) = _headline(1, hit(path=Path("/home/me/a\x1b é.md")), "vector", 80)
    terminal, pipe = Console(force_terminal=True, width=80, color_system="truecolor"), Console(width=80)
    with terminal.capture() as on_terminal:
        terminal.print(line)
    with pipe.capture() as in_pipe:
        pipe.print(line)
    assert ";file:///home/me/a%1B%20%C3%A9.md\x1b\\" in on_terminal.get()
    assert "\x1b" not in in_pipe.get()


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "A key is a digest. It has the model's files in it. The cache finds a vector by its key. Nothing else is"),
        (38, "The cache finds a vector by its key. Nothing else is needed for that."),
        (15, "The cache finds a vector by…"),
    ],
)
def test_a_passage_is_two_lines_around_the_best_sentence(width, expected):
    lines = plain(_passage(Console(width=80), CHUNK, BEST, "how does the cache find it", width))
    assert len(lines) == 2
    assert " ".join(lines).startswith(expected)


def test_a_long_sentence_is_shown_where_it_has_the_querys_words():
    chunk = f"The {'very ' * 100}old cache finds a vector {'again ' * 100}."
    (first, second) = plain(_passage(Console(width=80), chunk, (0, len(chunk)), "cache", 40))
    assert first.startswith("…very very")
    assert "cache" in first + second
    assert second.endswith("…")


def test_the_best_sentence_and_the_querys_words_stand_out():
    (text, *_) = _passage(Console(width=80), CHUNK, BEST, "how does the cache find it", 200)
    styles = {
        style: "".join(text.plain[span.start : span.end] for span in text.spans if span.style == style)
        for style in ("dim", "bold")
    }
    assert styles["bold"] == "cachefinds"
    assert "digest" in styles["dim"]
    assert "vector" not in styles["dim"]


CODE = '''def other():
    pass


def find(text):
\t"""Find a vector."""
    cache = open_cache()
    return cache.find(

    )
'''


@pytest.mark.parametrize(
    ("query", "width", "expected"),
    [
        ("open the cache", 40, ["    cache = open_cache()", "    return cache.find("]),
        ("nothing of it", 40, ["def find(text):", '    """Find a vector."""']),
        ("open the cache", 10, ["cache = o…", "return ca…"]),
    ],
)
def test_code_keeps_its_lines(query, width, expected):
    best = (CODE.index("def find"), len(CODE))
    found = plain(_code(Console(width=80), CODE, best, query, width))
    assert [line.strip() for line in found] == [line.strip() for line in expected]


def test_a_line_of_marks_is_not_shown_if_the_line_before_says_more():
    found = plain(_code(Console(width=80), "def f():\n    g(cat)\n)\n", (0, 20), "cat", 40))
    assert found == ["def f():", "    g(cat)"]


@given(
    st.text(
        st.sampled_from("ab 猫é🐱\u200d\n\t\x1b.[]\u202e") | st.characters(exclude_categories=["Cs"]),
        min_size=1,
        max_size=300,
    ),
    st.integers(10, 60),
    st.sampled_from([_passage, _code]),
    st.data(),
)
def test_no_line_is_wider_than_it_may_be_or_holds_a_control_character(chunk, width, shown, data):
    best = data.draw(st.sampled_from(sentences(chunk) or [(0, 0)]))
    lines = shown(Console(width=80), chunk, best, "ab 猫", width)
    assert len(lines) <= 2
    for line in lines:
        assert line.cell_len <= width
        assert all(character.isprintable() or character == "\u200d" for character in line.plain)


def test_why_fits_the_width():
    pairs = tuple(WordPair("query", f"word{number}", 0.01) for number in range(4))
    lines = _describe_why(Why(0.5, pairs, 0.1, None), 60)
    assert lines == [
        "query ↔ word0 +0.010, query ↔ word1 +0.010,",
        "query ↔ word2 +0.010, query ↔ word3 +0.010,",
        "together 8% of the cosine",
    ]


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        (Why(0.5, (), 0.5, None), "No pair of words adds to the cosine."),
        (Why(-0.1, (WordPair("a", "b", 0.01),), 0.0, None), "a ↔ b +0.010"),
        (Why(0.5, (), None, "max pooling"), "No words to show: max pooling"),
    ],
)
def test_why_says_if_there_is_little_to_say(why, expected):
    assert _describe_why(why, 80) == [expected]
