"""What an explained score's numbers say, in a few sentences of plain words. They never say more than the numbers do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.errors import plural
from pellucid.explain.pair import PairText, Sentence
from pellucid.explain.score import Changes, ExplainedScore
from pellucid.explain.shares import Float64
from pellucid.explain.words import Word, is_mark, sum_over_words

_MAX_NAMED = 3
_MAX_CHARACTERS = 30
"""Of a longer word or sentence, only the start is shown."""
SMALL_CHANGE = 0.0005
"""A smaller change is shown as 0.000."""


def score_sentence(explained: ExplainedScore) -> str:
    """Name the parts that raise a score most, and those that lower it most."""
    sides = (
        ("document", explained.document, explained.document_changes),
        ("query", explained.query, explained.query_changes),
    )
    return " ".join(_side_sentence(*side) for side in sides)


def strongest_words(text: PairText, changes: Changes) -> list[tuple[str, float]]:
    """The words of a text, each with its change, those with the largest first, up or down.

    Words that differ only in case are listed once, with the largest change among them, because changes do not add up.
    Marks such as commas are left out, unless there is nothing else. So are changes that would be shown as 0.000.
    """
    if changes.words is None:
        return []
    found = _strongest(text.words, changes.words)
    return [each for each in found if not is_mark(each[0])] or found


def strongest_sentences(text: PairText, changes: Changes) -> list[tuple[str, float]]:
    """The same for the sentences of a text."""
    return [] if changes.sentences is None else _strongest(text.sentences, changes.sentences)


def cut_notes(explained: ExplainedScore) -> list[str]:
    """Sentences about the texts that the model did not read to their end."""
    return [
        f"The model read only {plural(len(text.tokens), 'token')} of the {name}: its {_end(text)} was cut off."
        for name, text in (("query", explained.query), ("document", explained.document))
        if text.cut
    ]


def attention_sentence(explained: ExplainedScore) -> str:
    """Name the words of the document that the query's tokens look at most; "" without attention.

    In a decoder, tokens look only at those before them, so the query does not look at a document that follows it.
    """
    attention, words = explained.query_attention, explained.document.words
    if attention is None or not attention.any() or not words:
        return ""
    looks = sum_over_words(attention.mean(axis=(0, 1), dtype=np.float64)[:, None], words)[:, 0]
    names: dict[str, str] = {}
    for index in np.argsort(-looks, kind="stable").tolist():
        if not is_mark(words[index].text):
            names.setdefault(words[index].text.casefold(), f"“{_shortened(words[index].text)}”")
    if not names:
        return ""
    most = _joined(list(names.values())[:_MAX_NAMED])
    return f"The query's tokens look most at {most}. Attention shows what was read, not what counted."


def _end(text: PairText) -> str:
    return "start" if text.is_start_cut else "end"


def _strongest(parts: Sequence[Word] | Sequence[Sentence], changes: Float64) -> list[tuple[str, float]]:
    found: dict[str, tuple[str, float]] = {}
    for index in np.argsort(-np.abs(changes), kind="stable").tolist():
        if abs(changes[index]) >= SMALL_CHANGE:
            found.setdefault(parts[index].text.casefold(), (parts[index].text, float(changes[index])))
    return list(found.values())


def _side_sentence(name: str, text: PairText, changes: Changes) -> str:
    """The sentence about one text."""
    if not text.tokens:
        return f"The model read nothing of the {name}." if text.cut else f"The {name} is empty."
    if changes.words is not None and text.words:
        kind, found = "word", strongest_words(text, changes)
    elif changes.sentences is not None:
        kind, found = "sentence", strongest_sentences(text, changes)
    else:
        return f"The {name} is too long to leave out its parts."
    if not found:
        return f"No single {kind} of the {name} changes the score."
    raising, lowering = ([each for each in found if each[1] * sign > 0][:_MAX_NAMED] for sign in (1, -1))
    up = f"{_listed(raising)} {_verb('raise', raising)} the score most" if raising else f"no {kind} raises the score"
    down = f"{_listed(lowering)} {_verb('lower', lowering)} it most" if lowering else f"no {kind} lowers it"
    return f"In the {name}, {up}, and {down}."


def _verb(verb: str, parts: Sequence[object]) -> str:
    return verb if len(parts) > 1 else f"{verb}s"


def _listed(parts: Sequence[tuple[str, float]]) -> str:
    """The parts, each with its change.

    >>> _listed([("login", 0.7), ("forgot", 0.31), ("my", 0.2)])
    '“login” (+0.700), “forgot” (+0.310) and “my” (+0.200)'
    """
    return _joined([f"“{_shortened(text)}” ({change:+.3f})" for text, change in parts])


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
