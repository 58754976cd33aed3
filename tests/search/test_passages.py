from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.search.passages import best_sentence, sentences
from tests import tiny


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat. A dog!  Is it? Yes", ["A cat.", "A dog!", "Is it?", "Yes"]),
        ("He said “no.” She left.", ["He said “no.”", "She left."]),
        ("猫。犬！鳥", ["猫。", "犬！", "鳥"]),
        ("one\n\ntwo\nthree\n- four\n- five", ["one", "two\nthree", "- four", "- five"]),
        ("pi is 3.14 or so", ["pi is 3.14 or so"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(text, expected):
    assert [text[start:end].strip() for start, end in sentences(text)] == expected


@given(st.text(alphabet="ab.!?\n -。“”'", max_size=60))
def test_nothing_but_spaces_is_between_sentences(text):
    end_before = 0
    for start, end in sentences(text):
        assert text[end_before:start].strip() == ""
        assert text[start:end].strip() == text[start:end] != ""
        end_before = end
    assert text[end_before:].strip() == ""


def test_the_best_sentence_is_the_nearest(tmp_path):
    embedder = Embedder(tiny.write_model(tmp_path / "m"))
    passage = "The dog sat. A cat on the mat! Query."
    start, end = best_sentence(embedder, "a cat on the mat!", passage)
    assert passage[start:end] == "A cat on the mat!"
    assert best_sentence(embedder, "a cat", " ") == (0, 0)
