"""What ``pellucid search`` shows of a hit: where it is, its best passage, and the words that make it match."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pellucid.cli.terminal import escape_controls
from pellucid.errors import printable
from pellucid.search.passages import best_sentences, is_common, matched_words, sentences
from pellucid.search.readers import kind_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pellucid.embedder import Embedder
    from pellucid.search.hits import Hit
    from pellucid.search.index import SearchMode

_MAX_WIDTH = 100
"""Longer lines are hard to read."""
_INDENT = 3
_PASSAGE_LINES = 2
_MIN_HEADING = 8
_WORD_PAIRS = 4
_CONTEXT, _MATCH = "dim", "bold"
_STATES = {
    "changed": "changed since it was indexed",
    "gone": "gone since it was indexed",
    "unreadable": "cannot be read any more",
}


@dataclass(frozen=True)
class WordPair:
    """A word of the query, a word of the chunk, and how much the two add to the cosine."""

    query: str
    chunk: str
    share: float


@dataclass(frozen=True)
class Why:
    """Why a chunk matches.

    Attributes:
        cosine: the cosine of query and chunk.
        pairs: the pairs of words that add most to it, without words such as "the".
        frame: what special tokens and prompts add to it; None if the cosine is no sum over tokens.
        why_no_pairs: the reason if the cosine is no sum over tokens; otherwise None.
    """

    cosine: float
    pairs: tuple[WordPair, ...]
    frame: float | None
    why_no_pairs: str | None

    def to_dict(self) -> dict[str, Any]:
        """The same, for JSON."""
        return asdict(self)


def explain(embedder: Embedder, query: str, chunk: str) -> Why:
    """Find the pairs of words that add most to the cosine of query and chunk."""
    comparison = embedder.compare(query, chunk)
    shares = comparison.word_shares
    pairs = [
        WordPair(first, second, share)
        for first, second, share in ([] if shares is None else shares.top(10 * _WORD_PAIRS))
        if share > 0 and all(any(map(str.isalnum, word)) and not is_common(word) for word in (first, second))
    ]
    frame = None if shares is None else shares.frame
    return Why(comparison.cosine, tuple(pairs[:_WORD_PAIRS]), frame, comparison.why_no_pairs)


def print_hits(
    hits: Sequence[Hit], embedder: Embedder, query: str, reasons: Sequence[Why], *, mode: SearchMode, full: bool
) -> None:
    """Print hits for people, about three lines each.

    Args:
        hits: the hits, best first.
        embedder: the model of the index.
        query: the query.
        reasons: for each hit why it matches; empty to leave that out.
        mode: what the hits are ranked by.
        full: show whole chunks.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    width = min(console.width, _MAX_WIDTH)
    if not hits:
        console.print("Nothing found.")
        return
    best = best_sentences(embedder, query, [hit.row.text for hit in hits])
    for number, (hit, place) in enumerate(zip(hits, best, strict=True), start=1):
        if number > 1:
            console.print()
        for line in _headline(number, hit, mode, width):
            console.print(line, soft_wrap=True)
        if full:
            console.print(_marked(hit.row.text, 0, place, query), soft_wrap=not console.is_terminal)
        else:
            passage = _code if kind_of(Path(hit.row.file).suffix) == "code" else _passage
            for line in passage(console, hit.row.text, place, query, width - _INDENT):
                console.print(Text(" " * _INDENT) + line, soft_wrap=True)
        if reasons:
            for reason in _describe_why(reasons[number - 1], width - _INDENT):
                console.print(Text(" " * _INDENT + reason, style="yellow"), soft_wrap=True)


def _headline(number: int, hit: Hit, mode: SearchMode, width: int) -> list[Text]:
    """Where a hit is, and its score, in one line if they fit, or else in two."""
    from rich.text import Text

    place = Text.assemble((f"{number:2} ", "dim"), _place(hit))
    score = Text(_describe_score(hit, mode), style="cyan")
    is_one_line = place.cell_len + 2 + score.cell_len <= width
    room = width - place.cell_len - 2 - (score.cell_len + 2 if is_one_line else 0)
    heading = Text(escape_controls(hit.row.heading))
    if heading and room >= _MIN_HEADING:
        heading.truncate(room, overflow="ellipsis")
        place.append("  ").append_text(heading)
    if not is_one_line:
        return [place, Text(" " * _INDENT) + score]
    place.append(" " * (width - place.cell_len - score.cell_len)).append_text(score)
    return [place]


def _place(hit: Hit) -> Text:
    """The path of a hit, which can be opened from here, and the lines, page or row."""
    from rich.style import Style
    from rich.text import Text

    row = hit.row
    if hit.path is None:
        place = Text(printable(row.file), style="bold")
    else:
        place = Text(printable(_from_here(hit.path)), style=Style(bold=True, link=hit.path.as_uri()))
    if hit.file_state in _STATES:
        return Text.assemble(place, (f" ({_STATES[hit.file_state]})", "yellow"))
    if not row.part:
        lines = f"{row.first_line}" if row.first_line == row.last_line else f"{row.first_line}-{row.last_line}"
        place.append(f":{lines}")
    elif row.part != "text":  # The text of HTML has no lines or pages that a reader could look up.
        place = Text.assemble(place, f", {row.part}")
    return place


def _from_here(path: Path) -> str:
    """A path from the current folder, if the file lies below it, or else from the root."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # It lies elsewhere, or the current folder is gone.
        return str(path)


def _describe_score(hit: Hit, mode: SearchMode) -> str:
    """The cosine, and what else the ranking is by."""
    cosine = f"cosine {hit.cosine:.3f}"
    if mode == "text":
        return f"{cosine}, BM25 {hit.score:.2f}"
    ranks = [("meaning", hit.vector_rank), ("words", hit.text_rank)] if mode == "hybrid" else []
    return ", ".join([cosine, *(f"{name} #{rank}" for name, rank in ranks if rank is not None)])


def _passage(console: Console, chunk: str, best: tuple[int, int], query: str, width: int) -> list[Text]:
    """Two lines around the best sentence of a chunk."""
    from rich.cells import cell_len

    room = _PASSAGE_LINES * width
    start, end = best
    if cell_len(chunk[start:end]) > room:
        start = _start_of_match(chunk, best, query, room)
    else:  # Sentences before it, if the chunk ends before the room does.
        for earlier, _ in reversed([place for place in sentences(chunk) if place[1] <= start]):
            if chunk[earlier] == "#" or cell_len(chunk[earlier:]) > room:
                break
            start = earlier
    passage = _marked(chunk, start, best, query, one_line=True)
    if start != best[0] and start not in (place[0] for place in sentences(chunk)):
        passage = passage.from_markup("…") + passage
    lines = list(passage.wrap(console, width))
    for line in lines:
        line.rstrip()
    if len(lines) > _PASSAGE_LINES:
        last = lines[_PASSAGE_LINES - 1]
        if last.cell_len == width:
            last = last[: max(last.plain.rfind(" "), 0)] or last[:]
            last.truncate(width - 1)
        lines[_PASSAGE_LINES - 1] = last.append("…")
    return lines[:_PASSAGE_LINES]


def _code(_console: Console, chunk: str, best: tuple[int, int], query: str, width: int) -> list[Text]:
    """Two lines of code: the line of the best paragraph with most words of the query, and one beside it."""
    texts = chunk.split("\n")
    starts = list(itertools.accumulate((len(text) + 1 for text in texts), initial=0))
    marked = _marked(chunk, 0, best, query).split("\n", allow_blank=True)
    matches = [0] * len(texts)
    for first, _ in matched_words(query, chunk[slice(*best)]):
        matches[bisect.bisect_right(starts, best[0] + first) - 1] += 1
    best_line = matches.index(max(matches)) if any(matches) else bisect.bisect_right(starts, best[0]) - 1
    filled = [number for number, text in enumerate(texts) if text.strip()]
    place = bisect.bisect_left(filled, best_line)
    if place + 1 >= len(filled) or not any(map(str.isalnum, texts[filled[place + 1]])):  # Such as a bracket.
        place = max(0, place - 1)
    lines = [marked[number] for number in filled[place : place + _PASSAGE_LINES]]
    margin = min((len(line.plain) - len(line.plain.lstrip()) for line in lines), default=0)
    for line in (lines := [line[margin:] for line in lines]):
        line.expand_tabs(4)
        line.truncate(width, overflow="ellipsis")
    return lines


def _start_of_match(chunk: str, best: tuple[int, int], query: str, room: int) -> int:
    """Where to begin with a long sentence, so that its first words of the query are seen."""
    start, end = best
    first = next((place for place, _ in matched_words(query, chunk[start:end])), 0)
    if first < room // 2:
        return start
    space = chunk.rfind(" ", start, start + first - room // 4)
    return start + first if space < 0 else space + 1


def _marked(chunk: str, start: int, best: tuple[int, int], query: str, *, one_line: bool = False) -> Text:
    """A chunk from ``start`` on: all but its best sentence dimmed, and in that sentence the query's words bold."""
    from rich.text import Text

    def shown(begin: int, end: int) -> str:
        text = chunk[max(begin, start) : max(end, start)]
        if one_line:  # Spaces at both ends stay: there is text beyond them.
            text = " ".join(f"|{text}|".split())[1:-1]
        return escape_controls(text)

    text = Text.assemble((shown(start, best[0]), _CONTEXT))
    place = best[0]
    for first, last in matched_words(query, chunk[slice(*best)]):
        text.append(shown(place, best[0] + first))
        text.append(shown(best[0] + first, best[0] + last), _MATCH)
        place = best[0] + last
    return text.append(shown(place, best[1])).append(shown(best[1], len(chunk)), _CONTEXT)


def _describe_why(why: Why, width: int) -> list[str]:
    """The words that make a chunk match, and how much of the cosine they explain, in lines."""
    from rich.cells import cell_len

    pairs = [f"{printable(pair.query)} ↔ {printable(pair.chunk)} {pair.share:+.3f}" for pair in why.pairs]
    if why.why_no_pairs is not None:
        pairs = [f"No words to show: {why.why_no_pairs}"]
    elif not pairs:
        pairs = ["No pair of words adds to the cosine."]
    elif why.cosine > 0:
        pairs.append(f"together {sum(pair.share for pair in why.pairs) / why.cosine:.0%} of the cosine")
    lines = [pairs[0]]
    for pair in pairs[1:]:
        if cell_len(f"{lines[-1]}, {pair}") <= width:
            lines[-1] += f", {pair}"
        else:
            lines[-1] += ","
            lines.append(pair)
    return lines
