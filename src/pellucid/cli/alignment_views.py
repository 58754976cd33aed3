"""Late interaction in the terminal: what each token of a query found in a document, and the tokens of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from pellucid.cli.explain_views import MAX_TOKENS, cut_short, new_table, section, styled_piece
from pellucid.cli.terminal import escape_controls
from pellucid.errors import JOINER, plural, printable
from pellucid.explain.alignment import AlignedText, Alignment
from pellucid.types import Token

_MAX_ROWS, _MAX_SKIPPED = 40, 12
_BAR_WIDTH = 12
_CONTEXT = 20
"""A view shows at most this many characters before and after a token that was found."""
_MIN_WIDTH = 72
"""A narrower terminal has no room for them."""


def alignment_views(alignment: Alignment, width: int = 80) -> Iterator[RenderableType]:
    """Why a document has its score for a query: what each token of the query found.

    ``width`` is how many columns the terminal has.
    """
    sentence = (
        f"{escape_controls(alignment.sentence)}\n\nThe score, MaxSim, is a sum: each token of the query adds its "
        f"similarity to the most similar token of the document. Nothing is approximated."
    )
    yield section(f"score {alignment.score:.4f}", "", sentence, None)
    if len(alignment.matches):
        yield _found_table(alignment, has_context=width >= _MIN_WIDTH)
        if rest := _rows(alignment)[_MAX_ROWS:]:
            count, total = sum(row.count for row in rest), sum(row.part for row in rest)
            yield Text(f"… and {plural(count, 'more token')}, which add {total:.3f}", style="dim")
        yield Text()
    for name, text in (("query", alignment.query), ("document", alignment.document)):
        yield from _notes(name, text)


def aligned_text_views(text: AlignedText) -> Iterator[RenderableType]:
    """The tokens of one text: those that get a vector, and those that are skipped."""
    sentence = "Each token gets a vector, except those that the model skips. The text was read as a document."
    yield section(f"{plural(len(text.tokens), 'vector')}", "", sentence, None)
    table = new_table("#", "token", "id", "in the text", numbers=("#", "id"))
    shown = list(enumerate(text.tokens))
    if len(shown) > MAX_TOKENS:
        shown = [*shown[: MAX_TOKENS - 4], *shown[-4:]]
    before = -1
    for number, token in shown:
        if number > before + 1:
            table.add_row("…", cut_short(f"{len(text.tokens) - len(shown):,} more"), "", "")
        before = number
        table.add_row(str(number), styled_piece(token), str(token.id), _context(text, token))
    yield table
    yield Text()
    yield from _notes("text", text)


@dataclass(frozen=True)
class _Row:
    """A row of the table.

    Attributes:
        token: the token of the query.
        count: how many such tokens the row stands for.
        match: the position of the token that they found.
        part: what they add to the score.
    """

    token: Token
    count: int
    match: int
    part: float


def _rows(alignment: Alignment) -> list[_Row]:
    """A row for each token of the query. Those that only fill it up share a row if they found the same token."""
    tokens, matches, parts = alignment.query.tokens, alignment.matches.tolist(), alignment.parts.tolist()
    end = len(tokens) - alignment.query.expansion
    rows = [_Row(tokens[row], 1, matches[row], parts[row]) for row in range(end)]
    for match in dict.fromkeys(matches[end:]):
        members = [row for row in range(end, len(tokens)) if matches[row] == match]
        rows.append(_Row(tokens[members[0]], len(members), match, sum(parts[row] for row in members)))
    return rows


def _found_table(alignment: Alignment, *, has_context: bool) -> RenderableType:
    headings = ["adds", "", "query", "found", *(["in the document"] if has_context else [])]
    table = new_table(*headings, numbers=("adds",), whole=("",))
    rows = _rows(alignment)
    largest = max(1e-12, *(abs(row.part) for row in rows))
    for number, row in enumerate(rows[:_MAX_ROWS]):
        bar = Text("█" * round(_BAR_WIDTH * abs(row.part) / largest), style="red" if row.part < 0 else "cyan")
        is_filling = number >= len(alignment.query.tokens) - alignment.query.expansion
        name = (
            cut_short(f"{printable(row.token.piece)} × {row.count}", "dim") if is_filling else styled_piece(row.token)
        )
        found = alignment.document.tokens[row.match]
        context = [_context(alignment.document, found)] if has_context else []
        table.add_row(f"{row.part:.3f}", bar, name, styled_piece(found), *context)
    return table


def _context(text: AlignedText, token: Token) -> Text:
    """A token of a text, with some words around it."""
    if token.start >= token.end:
        return cut_short("added by the model", "dim")
    joined = text.prompt + text.text
    start, end = max(0, token.start - _CONTEXT), token.end + _CONTEXT
    before, after = joined[start : token.start], joined[token.end : end]
    if start:
        before = f"…{before[before.find(' ') + 1 :]}"
    if end < len(joined):
        after = f"{after[: after.rfind(' ')] if ' ' in after else after}…"
    shown = cut_short("")
    for part, style in ((before, "dim"), (joined[token.start : token.end], "bold"), (after, "dim")):
        shown.append(printable(re.sub(r"\s", " ", part), keep=JOINER), style=style)
    return shown


def _notes(name: str, text: AlignedText) -> Iterator[RenderableType]:
    if text.prompt:
        yield Text(f"The {name} was read after the prompt {text.prompt!r}.", style="dim")
    if text.skipped:
        yield Text(f"The {name}: {_skipped(text.skipped)}", style="dim")
    if text.cut:
        was = "was" if len(text.cut) == 1 else "were"
        yield Text(f"{plural(len(text.cut), 'token')} of the {name} {was} cut off.", style="yellow")


def _skipped(tokens: Sequence[Token]) -> str:
    """Which tokens have no vector, each spelling once."""
    counts = Counter(printable(token.piece) for token in tokens)
    shown = [f"{piece}×{count:,}" if count > 1 else piece for piece, count in counts.most_common(_MAX_SKIPPED)]
    more = ["…"] if len(counts) > _MAX_SKIPPED else []
    have = "has" if len(tokens) == 1 else "have"
    return f"{plural(len(tokens), 'token')} skipped, which {have} no vector:  {'   '.join([*shown, *more])}"
