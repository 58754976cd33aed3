"""What a reader would call the place of a chunk: the heading above it, or the function or class around it."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence

from pellucid.text.chunking import Kind

Heading = tuple[int, str]
"""A character of a text, and the heading of what follows, up to the next heading; "" for no heading."""

MAX_CHARACTERS = 200
"""A longer heading loses its end."""
_CHARACTERS_OF_A_LINE = 500
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}#{1,6}[ \t]+(\S.*)")  # CommonMark 0.31, section 4.2.
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})[ \t]*\Z")  # CommonMark 0.31, section 4.3, but "-" alone may be a list.
_NOT_A_PARAGRAPH = re.compile(r"[ \t]{4}|\t|\s*(?:[-*+>#|]|\d+[.)])")
_DEFINITION = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|unsafe|pub(?:\(\w+\))?)\s+)*"
    r"(?:def|class|fn|func|function|interface|struct|enum|impl|trait|module|namespace)\s+"
    r"(?:\([^()]*\)\s*)?(\w+(?:::\w+)*)"  # In Go, a method's receiver stands before its name.
)


def find_headings(text: str, kind: Kind) -> tuple[Heading, ...]:
    """The headings of a Markdown file, or the functions and classes of a source file, in order."""
    if kind == "markdown":
        return tuple(_markdown(text))
    return tuple(_code(text)) if kind == "code" else ()


def heading_of(headings: Sequence[Heading], start: int, end: int) -> str:
    """The heading that most of the characters from ``start`` up to, but not including, ``end`` stand under."""
    first = bisect.bisect_right(headings, start, key=lambda heading: heading[0])
    last = bisect.bisect_left(headings, end, key=lambda heading: heading[0])
    above = headings[first - 1][1] if first else ""
    lengths = {above: 0}
    for (begin, heading), (stop, _) in itertools.pairwise([(start, above), *headings[first:last], (end, "")]):
        lengths[heading] = lengths.get(heading, 0) + stop - begin
    return max(lengths, key=lambda heading: lengths[heading])


def heading_at(place: int, text: str, kind: Kind, heading: str) -> str:
    """The heading that a character of a chunk stands under, as far as the chunk shows it; "" if it does not.

    Args:
        place: the character.
        text: the chunk.
        kind: its kind of text.
        heading: the heading that most of the chunk stands under.
    """
    headings = find_headings(text, kind)
    above = [name for start, name in headings if start <= place]
    if above:  # In code, the chunk may begin within a class that the heading names, too.
        return heading if heading.endswith(f".{above[-1]}") else above[-1]
    below = {name for _, name in headings} | {shortened(line) for line in text[place:].split("\n")[1:]}
    return "" if heading in below else heading


def shortened(heading: str) -> str:
    """A heading in one line, and not too long."""
    heading = " ".join(heading.split())
    return heading if len(heading) <= MAX_CHARACTERS else f"{heading[: MAX_CHARACTERS - 1]}…"


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The beginning of each line, and where it stands."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start : min(end, start + _CHARACTERS_OF_A_LINE)].rstrip()
        start = end + 1


def _markdown(text: str) -> Iterator[Heading]:
    fence = ""
    before: Heading | None = None  # The line before, if it may be a heading whose underline follows.
    for start, line in _lines(text):
        mark = _FENCE.match(line)
        if fence:
            if mark is not None and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
            continue
        if mark is not None:
            fence, before = mark[1], None
        elif (atx := _ATX.match(line)) is not None:
            before = None
            yield start + len(line) - len(line.lstrip()), shortened(_without_closing_marks(atx[1]))
        elif before is not None and _UNDERLINE.match(line):
            yield before
            before = None
        else:
            before = (start, shortened(line)) if line and not _NOT_A_PARAGRAPH.match(line) else None


def _without_closing_marks(heading: str) -> str:
    """The heading without the ``#`` that may close it."""
    kept = heading.rstrip("#")
    return kept if kept[-1:].isspace() else heading


def _code(text: str) -> Iterator[Heading]:
    """The names of the definitions around each line, joined by dots. Indentation says where a definition ends."""
    around: list[tuple[int, str]] = []
    heading = ""
    for start, line in _lines(text):
        code = line.lstrip()
        indent = len(line) - len(code)
        name = _defined_name(code, indent)
        if name or code[:1].isalnum() or code[:1] in ("_", "@"):  # Not a bracket: it may belong to the line above.
            while around and around[-1][0] >= indent:
                around.pop()
        if name:
            around.append((indent, name))
        now = shortened(".".join(name for _, name in around))
        if now != heading:
            heading = now
            yield start + indent, heading


def _defined_name(code: str, indent: int) -> str:
    """The name that a line defines; "" if it defines none."""
    if (definition := _DEFINITION.match(code)) is not None:
        return definition[1]
    # A function of C: a type, a name, "(", and a brace at the end of the line.
    words = code.partition("(")[0].split() if indent == 0 and code.endswith("{") and "(" in code else []
    return words[-1].lstrip("*&") if len(words) > 1 and "=" not in words else ""
