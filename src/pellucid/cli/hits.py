"""What ``pellucid search`` prints: where each hit is, an excerpt, and the words that make it match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.cli.excerpts import code_excerpt, text_excerpt, whole
from pellucid.cli.terminal import escape_controls, from_here
from pellucid.cli.why import OTHER_SCORE, describe
from pellucid.errors import plural, printable
from pellucid.search.headings import heading_at
from pellucid.search.passages import best_sentences, matched_words
from pellucid.search.readers import kind_of
from pellucid.vectors.maxsim import EMPTY_DOCUMENT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pellucid.cli.why import Why
    from pellucid.search.hits import Hit
    from pellucid.search.index import SearchMode
    from pellucid.types import Float64

_MAX_WIDTH = 100
"""Longer lines are hard to read."""
_INDENT = 3
_MIN_HEADING, _ENOUGH_HEADING = 6, 22
"""Below 6 columns the heading is left out; below 22 the score gets its own line."""
_MIN_COSINE = 0.1
"""Below this cosine, a chunk without a word of the query has little to do with it."""
_CLOSE = 0.25
"""Below this cosine, a chunk without a word of the query is not close to it."""
_NO_TERMS = 0.0
"""Up to this dot product, a sparse vector has nothing in common with that of the query."""
_EXTRACTED = "text"
"""The part that a chunk of HTML is from. Its lines are items of lists, and not lines of the file."""
_STATES = {
    "changed": "changed since it was indexed",
    "gone": "gone since it was indexed",
    "unreadable": "cannot be read any more",
}


def is_related(hit: Hit, query: str) -> bool:
    """Whether a hit has a word of the query, or is near it in meaning. A reranker knows better than both."""
    return (
        hit.rerank_score is not None
        or hit.text_rank is not None
        or _is_near(hit, _MIN_COSINE)
        or any(matched_words(query, hit.row.text))
    )


def _is_near(hit: Hit, cosine: float) -> bool:
    """Whether a hit's vectors are near the query's. For dense vectors, that takes at least this cosine."""
    match hit.measure:
        case "cosine":
            return hit.vector_score >= cosine
        case "dot":
            return hit.vector_score > _NO_TERMS
        case "maxsim":  # No MaxSim means the same in all models.
            return hit.vector_score > EMPTY_DOCUMENT


def print_hits(
    hits: Sequence[Hit],
    similarities: Callable[[Sequence[str]], Float64],
    query: str,
    reasons: Sequence[Why],
    *,
    mode: SearchMode,
    full: bool,
    left_out: int = 0,
) -> None:
    """Print hits for people, about three lines each.

    Args:
        hits: the hits, best first.
        similarities: how near texts are to the query, ``float64[n]``.
        query: the query.
        reasons: for each hit why it matches; empty to leave that out.
        mode: what the hits are ranked by.
        full: show whole chunks.
        left_out: how many more hits there were, which have little to do with the query.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if hits and not any(_is_near(hit, _CLOSE) or any(matched_words(query, hit.row.text)) for hit in hits):
        console.print("Nothing is close to the query. The nearest:\n", soft_wrap=True)
    best = best_sentences(similarities, query, [hit.row.text for hit in hits], [hit.row.heading for hit in hits])
    for number, (hit, place) in enumerate(zip(hits, best, strict=True), start=1):
        if number > 1:
            console.print()
        _print_hit(console, number, hit, place, query, mode=mode, full=full)
        if reasons and is_related(hit, query):
            width = min(console.width, _MAX_WIDTH) - _INDENT
            for reason in describe(reasons[number - 1], width):
                _print_indented(console, reason, "yellow")
    if left_out or not hits:
        if hits:
            console.print()
        console.print(_describe_rest(len(hits), left_out), style="dim" if hits else "", soft_wrap=True)


def _print_hit(
    console: Console, number: int, hit: Hit, best: tuple[int, int], query: str, *, mode: SearchMode, full: bool
) -> None:
    """Print where a hit is, and its chunk or an excerpt of it."""
    width = min(console.width, _MAX_WIDTH)
    row = hit.row
    kind = kind_of(Path(row.file).suffix)
    heading = heading_at(best[0], row.text, kind, row.heading)
    for line in _headline(number, hit, heading, mode, width):
        console.print(line, soft_wrap=True)
    if full:
        console.print(whole(row.text, best, query), soft_wrap=not console.is_terminal)
        return
    if kind == "code":
        lines = code_excerpt(row.text, best, query, width - _INDENT)
    else:
        lines = text_excerpt(
            console,
            row.text,
            kind,
            best,
            query,
            width - _INDENT,
            heading=heading,
            keep_lines=row.part == _EXTRACTED,
        )
    for line in lines:
        _print_indented(console, line)


def _print_indented(console: Console, line: str | Text, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(" " * _INDENT, style).append(line), soft_wrap=True)


def _describe_rest(shown: int, left_out: int) -> str:
    """Say which hits are left out, and how to see them."""
    if not left_out:
        return "Nothing found."
    if not shown:
        return f"Nothing found that has much to do with the query. --all shows the nearest {plural(left_out, 'chunk')}."
    has = "has" if left_out == 1 else "have"
    return f"{left_out:,} more {has} little to do with the query. --all shows {'it' if left_out == 1 else 'them'}."


def _headline(number: int, hit: Hit, heading: str, mode: SearchMode, width: int) -> list[Text]:
    """Where a hit is, and its score: in one line if they fit and leave room for the heading, or else in two."""
    from rich.text import Text

    place = Text.assemble((f"{number:2} ", "dim"), _place(hit))
    score = Text(_describe_score(hit, mode), style="cyan")
    title = Text(f"  {escape_controls(heading)}" if heading else "")
    beside_score = width - place.cell_len - score.cell_len - 2
    is_one_line = beside_score >= min(title.cell_len, _ENOUGH_HEADING)
    room = beside_score if is_one_line else width - place.cell_len
    if room >= _MIN_HEADING:
        title.truncate(room, overflow="ellipsis")
        place.append_text(title)
    if not is_one_line:
        return [place, Text(" " * _INDENT) + score]
    return [place.append(" " * (width - place.cell_len - score.cell_len)).append_text(score)]


def _place(hit: Hit) -> Text:
    """The path of a hit, which can be opened from here, and the lines, page or row."""
    from rich.style import Style
    from rich.text import Text

    row = hit.row
    if hit.path is None:
        place = Text(printable(row.file), style="bold")
    else:
        place = Text(printable(from_here(hit.path)), style=Style(bold=True, link=hit.path.as_uri()))
    if hit.file_state in _STATES:
        return Text.assemble(place, (f" ({_STATES[hit.file_state]})", "yellow"))
    if not row.part:
        lines = f"{row.first_line}" if row.first_line == row.last_line else f"{row.first_line}-{row.last_line}"
        place.append(f":{lines}")
    elif row.part != _EXTRACTED:  # The text of HTML has no lines or pages that a reader could look up.
        place = Text.assemble(place, f", {row.part}")
    return place


def _describe_score(hit: Hit, mode: SearchMode) -> str:
    """The cosine or the score of the vectors, and what else the ranking is by."""
    if hit.vector_score == EMPTY_DOCUMENT:
        score = "no vectors"
    else:
        score = f"{'cosine' if hit.measure == 'cosine' else OTHER_SCORE} {hit.vector_score:.3f}"
    if hit.rerank_score is not None:
        score = f"rerank {hit.rerank_score:.3f}, {score}"
    if mode == "text":
        return f"{score}, BM25 {hit.score:.2f}"
    ranks = [("meaning", hit.vector_rank), ("words", hit.text_rank)] if mode == "hybrid" else []
    return ", ".join([score, *(f"{_ordinal(rank)} by {name}" for name, rank in ranks if rank is not None)])


def _ordinal(number: int) -> str:
    """A number as a place in a ranking: 1st, 2nd, 3rd, 4th, 11th, 21st."""
    is_teen = number // 10 % 10 == 1
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
