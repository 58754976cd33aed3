from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import TruncationError
from pellucid.text.truncation import Truncation, check_truncation

counts = st.lists(st.integers(0, 50), max_size=30)


def total(values):
    return Truncation.from_counts(np.array(values, dtype=np.int32), 20)


@given(counts)
def test_it_counts_the_tokens_over_the_limit(values):
    over = [value for value in values if value > 20]
    assert (total(values).cut, total(values).lost) == (len(over), sum(over) - 20 * len(over))
    assert (total(values).texts, total(values).tokens) == (len(values), sum(values))
    assert total(values).first == next((i for i, value in enumerate(values) if value > 20), None)


def test_a_text_at_the_limit_is_not_cut_and_one_token_more_is():
    assert total([20]) == Truncation(texts=1, tokens=20, cut=0, lost=0, first=None)
    assert total([19, 20, 21]) == Truncation(texts=3, tokens=60, cut=1, lost=1, first=2)


def test_no_texts_add_nothing():
    assert total([]) == Truncation() == Truncation(texts=0, tokens=0, cut=0, lost=0, first=None)
    assert Truncation() + total([25]) == total([25]) == total([25]) + Truncation()


@given(counts, counts)
def test_the_sum_of_two_parts_is_the_total_of_the_whole(first, second):
    assert total(first) + total(second) == total(first + second)


def test_the_sentence_says_how_many_texts_and_how_many_tokens():
    assert total([5, 25, 40]).describe(20) == (
        "2 of 3 texts are longer than the model's 20 tokens (the first is text 1): "
        "25 of 70 tokens (35.7%) are over the limit"
    )


@pytest.mark.parametrize("count", [16_384, 16_385, 2_000_000])
def test_a_text_that_was_not_counted_to_its_end_gives_a_lower_bound(count):
    assert total([5, count]) == total([5, 16_384])
    assert (total([5]) + total([count])).describe(20) == (
        "1 of 2 texts is longer than the model's 20 tokens (the first is text 1): "
        "at least 16,364 tokens are over the limit"
    )
    assert Truncation.from_counts(np.array([count], dtype=np.int32), 20_000).at_least == (count > 40_000)


def test_under_error_a_long_text_is_an_error_whose_positions_count_from_first():
    lengths = np.array([5, 25], dtype=np.int32)
    with pytest.raises(TruncationError, match=r"the first is text 101\): 5 of 30 tokens"):
        check_truncation(lengths, 20, "error", 100)
    assert check_truncation(lengths, 25, "error", 100) == Truncation(texts=2, tokens=30)
    assert check_truncation(lengths, 20, "ignore", 100) == total([5, 25])


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([21], "1 of 1 text is longer than the model's 20 tokens (the first is text 0): 1 of 21 tokens (4.8%) is over"),
        ([5, 22], "1 of 2 texts is longer than the model's 20 tokens (the first is text 1): 2 of 27 tokens (7.4%) are"),
        (
            [22, 22],
            "2 of 2 texts are longer than the model's 20 tokens (the first is text 0): 4 of 44 tokens (9.1%) are",
        ),
    ],
)
def test_one_text_and_one_token_are_in_the_singular(counts, words):
    assert total(counts).describe(20).startswith(words)
