from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import RequestMemoryFullError, RequestTooLargeError
from pellucid.server.core.budget import SMALL_BYTES, Budget

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "give back", "shrink", "release"]),
        st.integers(0, 5),
        st.integers(0, 1_500_000) | st.just(SMALL_BYTES),
    ),
    max_size=60,
)


@given(ACTIONS, st.integers(0, 2_000_000))
def test_memory_in_use_never_exceeds_the_limit_and_is_all_given_back(actions, limit):
    budget = Budget(limit)
    reservations = [budget.reservation() for _ in range(6)]
    for action, number, count in actions:
        reservation = reservations[number]
        before = budget.in_use, reservation.size
        if action == "take":
            try:
                reservation.take(count)
            except (RequestMemoryFullError, RequestTooLargeError):
                assert (budget.in_use, reservation.size) == before
        elif action == "give back":
            reservation.give_back(count)
        elif action == "shrink":
            reservation.shrink(count)
            assert reservation.size <= count
        else:
            reservation.release()
        assert 0 <= budget.in_use <= limit
        assert budget.in_use == sum(each.size for each in reservations)
    for reservation in reservations:
        reservation.release()
    assert budget.in_use == 0


def test_large_requests_leave_room_for_small_ones():
    budget = Budget(8_000_000)
    large = budget.reservation()
    large.take(7_000_000)
    with pytest.raises(RequestMemoryFullError):
        budget.reservation().take(SMALL_BYTES + 1)
    small = budget.reservation()
    small.take(SMALL_BYTES)
    assert small.size == SMALL_BYTES


def test_a_request_that_never_fits_gets_another_error_than_one_that_does_not_fit_now():
    budget = Budget(8_000_000)
    with pytest.raises(RequestTooLargeError, match=r"needs 7\.0 MB of memory.*at most 7\.0 MB.*--request-memory"):
        budget.reservation().take(7_000_001)
    budget.reservation().take(4_000_000)
    with pytest.raises(RequestMemoryFullError, match=r"use 4\.0 MB of the 8\.0 MB.*Try again in 1 s"):
        budget.reservation().take(4_000_000)


def test_leaving_the_block_gives_back_everything():
    budget = Budget(1000)
    with budget.reservation() as reservation:
        reservation.take(10)
    assert budget.in_use == 0
