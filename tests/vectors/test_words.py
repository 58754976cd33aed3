from __future__ import annotations

import numpy as np
import pytest

from pellucid.vectors.words import telling_words


@pytest.mark.parametrize(
    ("texts", "labels", "expected"),
    [
        # "cat" is in two of two texts and in one of the two others: 1 - 1/2. "milk" is in one and in none: 1/2.
        (["cat milk", "cat", "dog", "dog cat"], [0, 0, 1, 1], [("cat", "milk"), ("dog",)]),
        # Function words, single letters and numbers name nothing; case and marks do not matter.
        (["How do I pay the RENT, in 2026?", "what is “Rent”?"], [0, 0], [("rent", "pay")]),
        # In a group of three, a word of one text is left out.
        (["a fox runs", "a fox", "a fox sits", "night"], [0, 0, 0, 1], [("fox",), ("night",)]),
        # Unless there is no other.
        (["a fox runs", "a cat", "a dog", "night"], [0, 0, 0, 1], [("cat", "dog", "fox"), ("night",)]),
        # Words may have marks and other alphabets in them.
        (["l'été state-of-the-art", "Москва зимой"], [0, 1], [("l'été", "state-of-the-art"), ("зимой", "москва")]),
        # Every text has the word, so it tells nothing.
        (["apple", "apple"], [0, 1], [(), ()]),
        (["", "!?"], [0, 1], [(), ()]),
        (["長" * 41, "短い"], [0, 1], [(), ("短い",)]),
        ([], [], []),
    ],
)
def test_words_that_tell_a_group_from_the_others(texts, labels, expected):
    assert telling_words(texts, np.array(labels, dtype=np.int64)) == expected


def test_there_are_as_many_words_as_asked_for():
    assert telling_words(["one red apple", "two"], np.array([0, 1]), count=1) == [("apple",), ("two",)]
