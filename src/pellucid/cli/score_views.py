"""A score in the terminal: the words and sentences that raise it and lower it.

Colours are only an addition: marks say the same where there are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from pellucid.cli.explain_views import cut_short, new_table, section
from pellucid.cli.terminal import escape_controls
from pellucid.errors import plural, printable
from pellucid.explain.pair import PairText
from pellucid.explain.score import ExplainedScore
from pellucid.explain.score_sentence import attention_sentence, cut_notes, strongest_sentences, strongest_words
from pellucid.explain.shares import Float64
from pellucid.explain.words import is_mark

_MAX_CHARACTERS = 1000
"""A view shows at most this many characters of a text."""
_MAX_WORDS, _MAX_SENTENCES = 8, 6
_MARKED = 1 / 3
"""A word is marked if it changes the logit by at least this part of what the strongest word changes."""
_COLOURED = 0.1
_BAR_WIDTH = 24
_RAISES, _LOWERS = "cyan", "red"


def score_views(explained: ExplainedScore) -> Iterator[RenderableType]:
    """Why a document has its score for a query."""
    sides = (
        ("query", explained.query, explained.query_changes),
        ("document", explained.document, explained.document_changes),
    )
    sentence = (
        f"{escape_controls(explained.sentence)}\n\nEach number is the logit of the pair, minus the logit of the "
        "same pair without that part. Each is exact. They do not add up to the score, because without one word the "
        "others mean something else."
    )
    logit = "" if explained.activation == "identity" else f"{explained.activation} of the logit {explained.logit:.3f}"
    yield section(f"score {explained.score:.4f}", logit, sentence, None)
    largest = max((_largest(changes.words) for _, _, changes in sides), default=0.0)
    for name, text, changes in sides:
        title = f"the {name}, after the prompt {text.prompt!r}" if text.prompt else f"the {name}"
        yield Text(title, style="dim")
        yield _passage(text, changes.words, largest)
        yield Text()
    if largest:
        yield Text(
            "▲ raises the score, ▼ lowers it. A word without a mark changes it by less than a third of what the "
            "strongest word does.\n"
        )
    for name, text, changes in sides:
        yield from _part_table("word", name, strongest_words(text, changes)[:_MAX_WORDS])
    for name, text, changes in sides:
        if len(text.sentences) > 1:
            yield from _part_table("sentence", name, strongest_sentences(text, changes)[:_MAX_SENTENCES])
    if attention := attention_sentence(explained):
        yield Text(escape_controls(attention))
    for note in (*cut_notes(explained), *filter(None, [explained.left_out])):
        yield Text(note, style="yellow")


def _passage(text: PairText, changes: Float64 | None, largest: float) -> Text:
    """A text with its words marked and coloured."""
    joined, place = text.prompt + text.text, len(text.prompt)
    end = min(len(joined), place + _MAX_CHARACTERS)
    shown = Text()
    if not text.text.strip():
        return Text("(empty)", style="dim")
    for index, word in enumerate(text.words):
        if word.end > end:
            break
        # Before the first word, there may be text that was cut off.
        is_read = index > 0 or not text.is_start_cut
        shown.append(escape_controls(joined[place : word.start]), style="" if is_read else "dim strike")
        part = 0.0 if changes is None else float(changes[index]) / max(largest, 1e-12)
        colour = _RAISES if part > 0 else _LOWERS
        mark = "" if abs(part) < _MARKED or is_mark(word.text) else "▲" if part > 0 else "▼"
        style = f"bold {colour}" if mark else colour if abs(part) >= _COLOURED else ""
        shown.append(f"{printable(word.text)}{mark}", style=style)
        place = word.end
    rest = joined[place:end]
    shown.append(escape_controls(rest), style="dim strike" if text.cut and not text.is_start_cut else "")
    if len(joined) > end:
        shown.append(f" … and {plural(len(joined) - end, 'more character')}", style="dim")
    return shown


def _part_table(kind: str, side: str, parts: Sequence[tuple[str, float]]) -> Iterator[RenderableType]:
    """The parts that change the logit most, each with a bar."""
    if not parts:
        return
    heading = f"{kind} of the {side}"
    table = new_table("change", "", heading, numbers=("change",), whole=("",))
    largest = max(abs(change) for _, change in parts)
    width = _BAR_WIDTH if kind == "word" else _BAR_WIDTH // 3
    for text, change in parts:
        bar = Text("█" * round(width * abs(change) / largest), style=_LOWERS if change < 0 else _RAISES)
        line = re.sub(r"\s+", " ", text)
        table.add_row(f"{change:+.3f}", bar, cut_short(printable(line)))
    yield table
    yield Text()


def _largest(changes: Float64 | None) -> float:
    return 0.0 if changes is None else float(np.abs(changes).max(initial=0))
