"""The two lines that ``pellucid search`` shows of a chunk: its best sentence, or its best lines of code."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pellucid.cli.terminal import escape_controls
from pellucid.search.passages import is_heading, matched_words, prose, sentences

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pellucid.text.chunking import Kind

_LINES = 2
_CONTEXT, _MATCH = "dim", "bold"
_SENTENCE_END = re.compile(r"[.!?…:;,。！？][\"'”’)\]]*\Z")


def text_excerpt(
    console: Console,
    chunk: str,
    kind: Kind,
    best: tuple[int, int],
    query: str,
    width: int,
    *,
    heading: str = "",
    keep_lines: bool = False,
) -> list[Text]:
    """The best sentence of a chunk, and sentences around it from the same section, in at most two lines.

    Args:
        console: where it will be shown.
        chunk: the chunk.
        kind: its kind of text.
        best: where the best sentence starts and ends.
        query: the query, whose words are bold in that sentence.
        width: how many cells a line has.
        heading: the heading of that section, which the text itself may not mark as one.
        keep_lines: show where a line of the chunk ends.
    """
    pieces, own = _section(chunk, kind, best, heading, keep_lines=keep_lines)
    lines: list[Text] = []
    for beginning in _beginnings(pieces[own], query, _LINES * width):
        pieces[own] = beginning
        lines = _first_lines(console, _joined(pieces, own, own, query), width)
        first, last = next(matched_words(query, beginning), (0, 1))
        marked = sum(span.end - span.start for line in lines for span in line.spans if span.style == _MATCH)
        if marked >= last - first:
            break  # A whole word of the query is there.
    # Sentences before it are shown where the section ends before the room does.
    first = own
    while first > 0 and len((longer := _joined(pieces, first - 1, own, query)).wrap(console, width)) <= _LINES:
        first, lines = first - 1, _first_lines(console, longer, width)
    return lines


def code_excerpt(chunk: str, best: tuple[int, int], query: str, width: int) -> list[Text]:
    """Two lines of code: the line of the best paragraph with most words of the query, and one beside it."""
    texts = chunk.split("\n")
    starts = list(itertools.accumulate((len(text) + 1 for text in texts), initial=0))
    lines = whole(chunk, best, query).split("\n", allow_blank=True)
    matches = [0] * len(texts)
    for first, _ in matched_words(query, chunk[slice(*best)]):
        matches[bisect.bisect_right(starts, best[0] + first) - 1] += 1
    best_line = matches.index(max(matches)) if any(matches) else bisect.bisect_right(starts, best[0]) - 1
    filled = [number for number, text in enumerate(texts) if text.strip()]
    place = bisect.bisect_left(filled, best_line)
    if place + 1 >= len(filled) or not any(map(str.isalnum, texts[filled[place + 1]])):  # Such as a bracket.
        place = max(0, place - 1)
    shown = [lines[number] for number in filled[place : place + _LINES]]
    margin = min((len(line.plain) - len(line.plain.lstrip()) for line in shown), default=0)
    for line in (shown := [line[margin:] for line in shown]):
        line.expand_tabs(4)
        line.truncate(width, overflow="ellipsis")
    return shown


def whole(chunk: str, best: tuple[int, int], query: str) -> Text:
    """A whole chunk: all but its best sentence dimmed, and in that sentence the query's words bold."""
    from rich.text import Text

    start, end = best
    text = Text().append(escape_controls(chunk[:start]), _CONTEXT)
    return text.append_text(_marked(chunk[start:end], query)).append(escape_controls(chunk[end:]), _CONTEXT)


def _section(chunk: str, kind: Kind, best: tuple[int, int], heading: str, *, keep_lines: bool) -> tuple[list[str], int]:
    """The sentences between the headings around the best one, as a reader sees them, and which of them that is."""
    pieces: list[str] = []
    own = -1
    for start, end in sentences(chunk):
        sentence = chunk[start:end]
        begins_line = not chunk[chunk.rfind("\n", 0, start) + 1 : start].strip()
        shown = prose(sentence, kind, keep_lines=keep_lines, begins_line=begins_line)
        if (start, end) == best:
            own = len(pieces)
            pieces.append(shown or " ".join(sentence.split()))
        elif is_heading(sentence) or sentence == heading:
            if own >= 0:
                break
            pieces = []
        elif any(map(str.isalnum, shown)):
            pieces.append(shown)
    return (pieces, own) if own >= 0 else ([""], 0)


def _beginnings(sentence: str, query: str, room: int) -> Iterator[str]:
    """A sentence whole; and from a little before its first word of the query, or from that word, if there is one."""
    yield sentence
    first = next((place for place, _ in matched_words(query, sentence)), 0)
    if first:
        space = sentence.rfind(" ", 0, max(first - room // 4, 0))
        yield f"…{sentence[space + 1 :]}"
        yield f"…{sentence[first:]}"


def _first_lines(console: Console, text: Text, width: int) -> list[Text]:
    """The first two lines of a text, with an ellipsis if there are more."""
    lines = list(text.wrap(console, width))
    for line in lines:
        line.rstrip()
    if len(lines) > _LINES:
        last = lines[_LINES - 1]
        if last.cell_len == width:
            last = last[: max(last.plain.rfind(" "), 0)] or last[:]
            last.truncate(width - 1)
        lines[_LINES - 1] = last.append("…")
    return lines[:_LINES]


def _joined(pieces: Sequence[str], first: int, own: int, query: str) -> Text:
    """Sentences from ``first`` on as one text, in which all but ``own`` are dimmed."""
    from rich.text import Text

    text = Text()
    for number, piece in enumerate(pieces[first:], start=first):
        if number > first:  # Items of a list have no mark at their ends.
            text.append(" " if _SENTENCE_END.search(pieces[number - 1]) else " · ", _CONTEXT)
        if number == own:
            text.append_text(_marked(piece, query))
        else:
            text.append(escape_controls(piece), _CONTEXT)
    return text


def _marked(text: str, query: str) -> Text:
    """A text with the query's words bold."""
    from rich.text import Text

    marked = Text()
    place = 0
    for first, last in matched_words(query, text):
        marked.append(escape_controls(text[place:first])).append(escape_controls(text[first:last]), _MATCH)
        place = last
    return marked.append(escape_controls(text[place:]))
