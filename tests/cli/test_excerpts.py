from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
from rich.console import Console

from pellucid.cli.excerpts import code_excerpt, text_excerpt, whole
from pellucid.search.passages import _with_most_words, sentences

CHUNK = (
    "# Keys\n\nA key is a digest. It has the\nmodel's files in it. The cache finds a vector by its key. "
    "Nothing else is needed for that."
)
BEST = (CHUNK.index("The cache"), CHUNK.index(" Nothing"))


def plain(lines):
    return [line.plain for line in lines]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, "A key is a digest. It has the model's files in it. The cache finds a vector by its key. Nothing else is"),
        (38, "The cache finds a vector by its key. Nothing else is needed for that."),
        (15, "The cache finds a vector by…"),
    ],
)
def test_a_passage_is_two_lines_around_the_best_sentence(width, expected):
    lines = plain(text_excerpt(Console(width=80), CHUNK, "markdown", BEST, "how does the cache find it", width))
    assert len(lines) == 2
    assert " ".join(lines).startswith(expected)


def test_a_number_within_a_line_is_no_mark_of_a_list():
    chunk = "1) Call the help desk (ext. 4711) about it.\n2) See no. 7) there."
    best = sentences(chunk)[0]
    (line,) = plain(text_excerpt(Console(width=200), chunk, "text", best, "desk", 200))
    assert line == "Call the help desk (ext. 4711) about it. See no. 7) there."


def test_a_long_sentence_is_shown_where_it_has_the_querys_words():
    chunk = f"The {'very ' * 100}old cache finds a vector {'again ' * 100}."
    (first, second) = plain(text_excerpt(Console(width=80), chunk, "text", (0, len(chunk)), "cache", 40))
    assert first.startswith("…very very")
    assert "cache" in first + second
    assert second.endswith("…")


def test_the_best_sentence_and_the_querys_words_stand_out():
    (text, *_) = text_excerpt(Console(width=80), CHUNK, "markdown", BEST, "how does the cache find it", 200)
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
    found = plain(code_excerpt(CODE, best, query, width))
    assert [line.strip() for line in found] == [line.strip() for line in expected]


def test_a_line_of_marks_is_not_shown_if_the_line_before_says_more():
    found = plain(code_excerpt("def f():\n    g(cat)\n)\n", (0, 20), "cat", 40))
    assert found == ["def f():", "    g(cat)"]


@given(
    st.text(
        st.sampled_from("ab 猫é🐱\u200d\n\t\x1b.[]\u202e") | st.characters(exclude_categories=["Cs"]),
        min_size=1,
        max_size=300,
    ),
    st.integers(10, 60),
    st.sampled_from(["text", "markdown", "code"]),
    st.data(),
)
def test_no_line_is_wider_than_it_may_be_or_holds_a_control_character(chunk, width, kind, data):
    best = data.draw(st.sampled_from(sentences(chunk) or [(0, 0)]))
    if kind == "code":
        lines = code_excerpt(chunk, best, "ab 猫", width)
    else:
        lines = text_excerpt(Console(width=80), chunk, kind, best, "ab 猫", width)
    assert len(lines) <= 2
    for line in lines:
        assert line.cell_len <= width
        assert all(character.isprintable() or character == "\u200d" for character in line.plain)


@given(
    st.lists(st.sampled_from(["a", "cat", "sat.", "- the", "x" * 50, "猫" * 9, "\n\n", "a/b/c/d/e" * 5]), max_size=60),
    st.lists(st.sampled_from(["on", "the", "mat.", "y" * 50, "/z" * 9]), max_size=60),
    st.sampled_from([" ", "/", ". "]),
    st.integers(30, 100),
)
def test_a_word_of_the_query_is_seen_wherever_it_stands(before, after, joint, width):
    chunk = f"{' '.join(before)}{joint}okapi {' '.join(after)}"
    (best,) = _with_most_words("okapis", chunk, "")
    lines = text_excerpt(Console(width=200), chunk, "text", best, "okapis", width)
    marked = [line.plain[slice(*span[:2])] for line in lines for span in line.spans if span.style == "bold"]
    assert "".join(marked) == "okapi"  # A line that is too long for the terminal may break within it.


NOTE = """# Flat

## Rent

The rent is **940** a month, see [the lease](lease.md). It goes up.

- deposit: two months
- `late` fee: 25

## Moving out

The keys go back.

1. paint the walls
2. clean the oven

| error | meaning |
|---|---|
| E119 | low pressure |
"""


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The rent is", "The rent is 940 a month, see the lease. It goes up. deposit: two months · late fee: 25"),
        ("The keys", "The keys go back. paint the walls · clean the oven · error | meaning · E119 | low pressure"),
    ],
)
def test_an_excerpt_of_markdown_is_prose_of_one_section(sentence, expected):
    best = next(place for place in sentences(NOTE) if NOTE.startswith(sentence, place[0]))
    assert " ".join(plain(text_excerpt(Console(width=80), NOTE, "markdown", best, "x", 70))) == expected


def test_an_excerpt_of_html_begins_after_its_heading_and_keeps_items_apart():
    chunk = "Your policy covers fire.\n\nBicycles\n\nA bicycle is covered.\n\nkeep the receipt\nreport theft"
    best = next(place for place in sentences(chunk) if chunk.startswith("A bicycle", place[0]))
    (line,) = text_excerpt(Console(width=80), chunk, "text", best, "bicycles", 77, heading="Bicycles", keep_lines=True)
    assert line.plain == "A bicycle is covered. keep the receipt · report theft"
    assert [line.plain[span.start : span.end] for span in line.spans if span.style == "bold"] == ["bicycle"]


def test_a_whole_chunk_is_as_it_is():
    assert whole(CHUNK, BEST, "cache").plain == CHUNK
