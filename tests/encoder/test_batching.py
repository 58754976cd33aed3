from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.encoder.batching import plan

lengths_and_budget = (st.lists(st.integers(0, 600), max_size=200), st.integers(1, 2000))


def plan_calls(lengths, budget):
    return [call.tolist() for call in plan(np.array(lengths, dtype=np.int32), budget)]


@given(*lengths_and_budget)
def test_every_text_is_in_exactly_one_call(lengths, budget):
    planned = [index for call in plan_calls(lengths, budget) for index in call]
    assert sorted(planned) == list(range(len(lengths)))


@given(*lengths_and_budget)
def test_a_call_stays_within_the_budget_or_holds_one_text(lengths, budget):
    for call in plan_calls(lengths, budget):
        assert len(call) == 1 or sum(lengths[index] for index in call) <= budget


@given(*lengths_and_budget)
def test_the_longest_texts_come_first_and_texts_of_equal_length_keep_their_order(lengths, budget):
    planned = [index for call in plan_calls(lengths, budget) for index in call]
    assert planned == sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


@given(*lengths_and_budget)
def test_no_call_has_room_for_the_next_text(lengths, budget):
    planned = plan_calls(lengths, budget)
    for call, following in itertools.pairwise(planned):
        assert sum(lengths[index] for index in call) + lengths[following[0]] > budget


def test_the_budget_is_exact_to_the_token():
    assert plan_calls([4, 4], 8) == [[0, 1]]
    assert plan_calls([5, 4], 8) == [[0], [1]]
    assert plan_calls([8, 4, 5, 3], 8) == [[0], [2], [1, 3]]


@pytest.mark.parametrize("lengths", [[3], [3, 9, 4]])
def test_indices_are_int64(lengths):
    assert [call.dtype for call in plan(np.array(lengths, dtype=np.int32), 8)] == [np.int64] * len(
        plan_calls(lengths, 8)
    )


def test_without_texts_there_are_no_calls():
    assert plan_calls([], 8) == []


def test_the_sum_of_the_lengths_may_exceed_int32():
    assert plan_calls([2**30, 2**30, 2**30], 2**31) == [[0, 1], [2]]


@given(*lengths_and_budget)
def test_without_sorting_texts_keep_their_order_and_calls_their_budget(lengths, budget):
    calls = [call.tolist() for call in plan(np.array(lengths, dtype=np.int32), budget, sort=False)]
    assert [index for call in calls for index in call] == list(range(len(lengths)))
    assert all(len(call) == 1 or sum(lengths[index] for index in call) <= budget for call in calls)
