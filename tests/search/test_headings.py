from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.search.headings import MAX_CHARACTERS, find_headings, heading_at, heading_of

MARKDOWN = """Before all.

# The *cat* #

Text.
```console
# no heading
```
Sat
===
- one
---
   ## On the mat
####### seven
#none
    # code
Dog
---
"""
PYTHON = '''"""A module."""

LIMIT = 1


@dataclass
class Cat:
    """A cat."""

    name: str

    async def sit(
        self,
    ) -> None:
        def inner():
            pass

        return inner

    @property
    def mat(self): return 1


def main() -> None:
    Cat()


if __name__ == "__main__":
    main()
'''


def headings(text, kind):
    found = find_headings(text, kind)
    return [(text[start:].split("\n")[0], heading) for start, heading in found]


def test_headings_of_markdown_are_found_and_not_those_in_code():
    assert headings(MARKDOWN, "markdown") == [
        ("# The *cat* #", "The *cat*"),
        ("Sat", "Sat"),
        ("## On the mat", "On the mat"),
        ("Dog", "Dog"),
    ]


def test_definitions_of_python_are_named_with_what_is_around_them():
    assert headings(PYTHON, "code") == [
        ("class Cat:", "Cat"),
        ("async def sit(", "Cat.sit"),
        ("def inner():", "Cat.sit.inner"),
        ("return inner", "Cat.sit"),
        ("@property", "Cat"),
        ("def mat(self): return 1", "Cat.mat"),
        ("def main() -> None:", "main"),
        ('if __name__ == "__main__":', ""),
    ]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("export default async function load(url) {\n  return 1\n}\nconst a = 1\n", ["load", ""]),
        ("pub(crate) struct Cat;\n\nimpl Cat {\n    pub fn sit(&self) {}\n}\n", ["Cat", "Cat.sit"]),
        ("func (c *Cat) Sit() {\n}\n", ["Sit"]),
        ("namespace cats {\nstatic int *sit(const Cat &cat) {\n    if (cat) {\n    }\n}\n", ["cats", "sit"]),
        ("a = f(1)\nfor (a; b) {\n}\n", []),
    ],
)
def test_definitions_of_other_languages_are_found(code, names):
    assert [heading for _, heading in find_headings(code, "code")] == names


def test_a_text_has_no_headings():
    assert find_headings("# cat\n", "text") == ()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 10, ""), (5, 20, "a"), (0, 15, ""), (8, 20, "a"), (10, 11, "a"), (12, 100, "b"), (40, 50, "b"), (3, 3, "")],
)
def test_a_chunk_has_the_heading_of_most_of_it(start, end, expected):
    assert heading_of([(10, "a"), (20, "b")], start, end) == expected


def test_a_heading_that_comes_back_counts_together():
    assert heading_of([(0, "a"), (4, "b"), (10, "a"), (14, "")], 0, 14) == "a"


@given(st.text(alphabet="#=-` \n\tab", max_size=80), st.sampled_from(["markdown", "code"]))
def test_headings_stand_in_order_in_the_text(text, kind):
    found = find_headings(text, kind)
    starts = [start for start, _ in found]
    assert starts == sorted(set(starts))
    assert all(start < len(text) for start in starts)
    assert heading_of(found, 0, len(text)) in {"", *(heading for _, heading in found)}


@pytest.mark.parametrize("line", ["# " + "a" * 5000, "#" * 100_000, "def " * 50_000, " " * 1_000_000, "a" * 1_000_000])
@pytest.mark.parametrize("kind", ["markdown", "code"])
def test_a_very_long_line_is_no_trouble(line, kind):
    started = time.monotonic()
    assert all(len(heading) <= MAX_CHARACTERS for _, heading in find_headings(line, kind))
    assert time.monotonic() - started < 60


NOTE = "It ends.\n\n## Rent\n\nIt is due.\n\n## Pets\n\nA cat."


@pytest.mark.parametrize(
    ("text", "kind", "at", "heading", "expected"),
    [
        (NOTE, "markdown", "A cat", "Rent", "Pets"),
        (NOTE, "markdown", "It is due", "Rent", "Rent"),
        (NOTE, "markdown", "It ends", "Rent", ""),  # It stands under a heading that the chunk does not have.
        (NOTE, "markdown", "It ends", "Moving out", "Moving out"),
        ("plain", "text", "plain", "Moving out", "Moving out"),
        ("It covers fire.\n\nBicycles\n\nThey are covered.", "text", "It covers", "Bicycles", ""),
        ("It covers fire.\n\nBicycles\n\nThey are covered.", "text", "They", "Bicycles", "Bicycles"),
        ("    def sit(self):\n        cat()\n", "code", "cat", "Cat.sit", "Cat.sit"),
        ("def lie():\n    pass\ndef sit():\n    cat()\n", "code", "pass", "sit", "lie"),
    ],
)
def test_a_passage_has_the_heading_of_its_own_section(text, kind, at, heading, expected):
    assert heading_at(text.index(at), text, kind, heading) == expected
