"""Sparse vectors in the terminal: the terms of a text, and those that a query and a document share."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from pellucid.cli.explain_views import cut_short, new_table, section
from pellucid.cli.terminal import escape_controls
from pellucid.errors import plural, printable
from pellucid.explain.sparse import ExplainedSparseScore, SparseText

_MAX_MATCHES, _MAX_TERMS = 15, 12
_BAR_WIDTH = 24
_COLOUR = "cyan"


def sparse_text_views(text: SparseText) -> Iterator[RenderableType]:
    """The terms of one text, and what raised each."""
    count = plural(len(text.terms), "term")
    sentence = "Each term is a token of the vocabulary, and its weight says how much the text is about it."
    yield section(count, "", sentence, None)
    yield from _term_table("the text", text, _MAX_TERMS)
    yield from _notes("text", text)


def sparse_score_views(explained: ExplainedSparseScore) -> Iterator[RenderableType]:
    """Why a document has its score for a query."""
    sentence = (
        f"{escape_controls(explained.sentence)}\n\nThe score is a sum: each term that both texts have adds the product "
        f"of its two weights. Nothing is left out."
    )
    yield section(f"score {explained.score:.4f}", "", sentence, None)
    if explained.matches:
        numbers = ("adds", "query", "document")
        table = new_table("adds", "", "term", "query", "document", "query word", "document word", numbers=numbers)
        largest = explained.matches[0].product
        for match in explained.matches[:_MAX_MATCHES]:
            table.add_row(
                f"{match.product:.3f}",
                Text("█" * max(1, round(_BAR_WIDTH / 2 * match.product / largest)), style=_COLOUR),
                cut_short(printable(match.piece), "bold"),
                f"{match.in_query.weight:.2f}",
                f"{match.in_document.weight:.2f}",
                cut_short(printable(explained.query.words(match.in_query))),
                cut_short(printable(explained.document.words(match.in_document))),
            )
        yield table
        rest = explained.matches[_MAX_MATCHES:]
        if rest:
            yield Text(f"… and {plural(len(rest), 'more term')}, which add {sum(m.product for m in rest):.3f}", "dim")
        yield Text()
    for name, text in (("query", explained.query), ("document", explained.document)):
        yield Text(f"the {name}'s heaviest terms", style="dim")
        yield from _term_table(f"the {name}", text, _MAX_TERMS // 2)
        yield from _notes(name, text)


def _term_table(where: str, text: SparseText, limit: int) -> Iterator[RenderableType]:
    if not text.terms:
        yield Text(f"{where} has no terms\n", style="dim")
        return
    table = new_table("weight", "", "term", "raised by", numbers=("weight",))
    for term in text.terms[:limit]:
        bar = "█" * max(1, round(_BAR_WIDTH * term.weight / text.terms[0].weight))
        words = cut_short(printable(text.words(term)))
        table.add_row(f"{term.weight:.3f}", Text(bar, style=_COLOUR), cut_short(printable(term.piece), "bold"), words)
    yield table
    if len(text.terms) > limit:
        yield Text(f"… and {plural(len(text.terms) - limit, 'lighter term')}", style="dim")
    yield Text()


def _notes(name: str, text: SparseText) -> Iterator[RenderableType]:
    if text.prompt:
        yield Text(f"The {name} was read after the prompt {text.prompt!r}.", style="dim")
    if text.cut:
        yield Text(f"{plural(text.cut, 'token')} of the {name} were cut off.", style="yellow")
