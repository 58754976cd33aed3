from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pellucid.explain.pair import PairText, Sentence
from pellucid.explain.score import Changes, ExplainedScore
from pellucid.explain.score_sentence import (
    attention_sentence,
    cut_notes,
    score_sentence,
    strongest_sentences,
    strongest_words,
)
from pellucid.explain.words import find_words
from pellucid.types import Token

QUERY = "reset it"
DOCUMENT = "Click reset, then Reset again."
CHANGES = (0.5, 0.2, 0.9, 0.3, -0.4, 0.0004, -0.7)
"""Of Click, reset, the comma, then, Reset, again, and the point."""


def text_of(text, *, cut=()):
    words = text.replace(",", " ,").replace(".", " .").split()
    tokens, place = [], 0
    for word in words:
        start = text.index(word, place)
        place = start + len(word)
        tokens.append(Token(1, word, start, place, "text", False))
    sentences = (Sentence(text, 0, len(text), tuple(range(len(tokens)))),) if tokens else ()
    return PairText("", text, tuple(tokens), cut, False, find_words(tokens, text), sentences)


def changes_of(words, sentences=()):
    return Changes(np.array(words), None if words is None else np.array(words), np.array(sentences))


EXPLAINED = ExplainedScore(
    model_name="m",
    score=0.9,
    logit=2.2,
    activation="sigmoid",
    query=text_of(QUERY),
    document=text_of(DOCUMENT),
    query_changes=changes_of([1.25, 0.1], [3.0]),
    document_changes=changes_of(CHANGES, [2.0]),
    query_attention=np.array([[[0.1, 0.3, 0.9, 0.2, 0.0, 0.0, 0.0]] * 2] * 3, np.float32),
    document_attention=np.zeros((3, 7, 2), np.float32),
    left_out="",
)
CUT = (Token(1, "x", 0, 1, "text", False),)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "“Click” (+0.500) and “then” (+0.300) raise the score most, and “Reset” (-0.400) lowers it most."),
        ({"document_changes": changes_of([-0.1] * 7)}, "no word raises the score, and “Click” (-0.100), “reset”"),
        (
            {"document_changes": changes_of([0, 0, 0, 2, 0, 0, 0])},
            "“then” (+2.000) raises the score most, and no word l",
        ),
    ],
)
def test_the_strongest_words_are_named_with_their_changes(changes, expected):
    assert f"In the document, {expected}" in score_sentence(replace(EXPLAINED, **changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"document": text_of("")}, "The document is empty. In the query, “reset” (+1.250)"),
        ({"document": text_of("", cut=CUT)}, "The model read nothing of the document."),
        ({"document_changes": changes_of([0.0004] * 7)}, "No single word of the document changes the score."),
        (
            {"document_changes": Changes(None, None, np.array([2.0]))},
            "In the document, “Click reset, then Reset again.” (+2.000) raises the score most, and no sentence lowers",
        ),
        ({"document_changes": Changes(None, None, None)}, "The document is too long to leave out its parts."),
    ],
)
def test_a_text_without_words_or_changes_is_described_too(changes, expected):
    assert score_sentence(replace(EXPLAINED, **changes)).startswith(expected)


def test_words_that_differ_in_case_are_listed_once_and_marks_are_no_words():
    found = strongest_words(EXPLAINED.document, EXPLAINED.document_changes)
    assert found == [("Click", 0.5), ("Reset", -0.4), ("then", 0.3)]
    assert strongest_words(text_of(", ."), changes_of([0.1, 0.2])) == [(".", 0.2), (",", 0.1)]
    assert strongest_words(EXPLAINED.document, Changes(None, None, None)) == []
    assert strongest_sentences(EXPLAINED.query, EXPLAINED.query_changes) == [(QUERY, 3.0)]


def test_a_long_word_is_shortened():
    long = "x" * 1000
    found = replace(EXPLAINED, document=text_of(long), document_changes=changes_of([1.0]))
    assert f"“{'x' * 30}…” (+1.000)" in score_sentence(found)


def test_the_words_that_the_query_looks_at_are_named_without_marks():
    names = attention_sentence(EXPLAINED)
    assert names.startswith(
        "The query's tokens look most at “reset”, “then” and “Click”. Attention shows what was read"
    )
    assert attention_sentence(replace(EXPLAINED, query_attention=None)) == ""
    assert attention_sentence(replace(EXPLAINED, document=text_of(""))) == ""


def test_a_text_that_was_cut_is_named_with_the_side():
    assert cut_notes(EXPLAINED) == []
    cut = replace(text_of(QUERY, cut=CUT), is_start_cut=True)
    found = replace(EXPLAINED, query=cut, document=text_of("a", cut=CUT))
    assert cut_notes(found) == [
        "The model read only 2 tokens of the query: its start was cut off.",
        "The model read only 1 token of the document: its end was cut off.",
    ]
