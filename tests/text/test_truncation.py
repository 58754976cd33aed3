from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import TruncationError
from pellucid.text.truncation import Truncation, cut_from

counts = st.lists(st.integers(0, 50), max_size=30)


def of(values):
    return Truncation.of(np.array(values, dtype=np.int32), 20)


@given(counts)
def test_it_counts_what_lies_beyond_the_limit(values):
    over = [value for value in values if value > 20]
    assert (of(values).cut, of(values).lost) == (len(over), sum(over) - 20 * len(over))
    assert (of(values).texts, of(values).tokens) == (len(values), sum(values))
    assert of(values).first == next((i for i, value in enumerate(values) if value > 20), None)


def test_a_text_of_the_limit_is_not_cut_and_one_token_more_is():
    assert of([20]) == Truncation(texts=1, tokens=20, cut=0, lost=0, first=None)
    assert of([19, 20, 21]) == Truncation(texts=3, tokens=60, cut=1, lost=1, first=2)


def test_of_no_texts_nothing_is_told():
    assert of([]) == Truncation() == Truncation(texts=0, tokens=0, cut=0, lost=0, first=None)
    assert Truncation() + of([25]) == of([25]) == of([25]) + Truncation()


@given(counts, counts)
def test_the_sum_of_two_parts_is_that_of_the_whole(first, second):
    assert of(first) + of(second) == of(first + second)


def test_the_sentence_says_how_many_texts_and_how_much():
    assert of([5, 25, 40]).describe(20) == (
        "2 of 3 texts are longer than the model's 20 tokens (the first is text 1): 25 of 70 tokens (35.7%) lie beyond"
    )


@pytest.mark.parametrize("count", [16_384, 16_385, 2_000_000])
def test_what_was_not_counted_to_its_end_is_told_as_the_least(count):
    assert of([5, count]) == of([5, 16_384])
    assert (of([5]) + of([count])).describe(20) == (
        "1 of 2 texts is longer than the model's 20 tokens (the first is text 1): at least 16,364 tokens lie beyond"
    )
    assert Truncation.of(np.array([count], dtype=np.int32), 20_000).at_least == (count > 40_000)


def test_under_error_what_would_be_cut_is_an_error_that_counts_from_the_first():
    lengths = np.array([5, 25], dtype=np.int32)
    with pytest.raises(TruncationError, match=r"the first is text 101\): 5 of 30 tokens"):
        cut_from(lengths, 20, "error", 100)
    assert cut_from(lengths, 25, "error", 100) == Truncation(texts=2, tokens=30)
    assert cut_from(lengths, 20, "ignore", 100) == of([5, 25])
