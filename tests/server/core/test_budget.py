from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import RequestMemoryFullError, RequestTooLargeError
from pellucid.server.core.budget import SMALL_BYTES, Budget

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["take", "give back", "keep", "release"]),
        st.integers(0, 5),
        st.integers(0, 1_500_000) | st.just(SMALL_BYTES),
    ),
    max_size=60,
)


@given(ACTIONS, st.integers(0, 2_000_000))
def test_never_above_the_limit_and_all_of_it_comes_back(actions, limit):
    budget = Budget(limit)
    holds = [budget.hold() for _ in range(6)]
    for action, number, count in actions:
        hold = holds[number]
        before = budget.in_use, hold.size
        if action == "take":
            try:
                hold.take(count)
            except (RequestMemoryFullError, RequestTooLargeError):
                assert (budget.in_use, hold.size) == before
        elif action == "give back":
            hold.give_back(count)
        elif action == "keep":
            hold.keep(count)
            assert hold.size <= count
        else:
            hold.release()
        assert 0 <= budget.in_use <= limit
        assert budget.in_use == sum(each.size for each in holds)
    for hold in holds:
        hold.release()
    assert budget.in_use == 0


def test_large_requests_leave_room_for_small_ones():
    budget = Budget(8_000_000)
    large = budget.hold()
    large.take(7_000_000)
    with pytest.raises(RequestMemoryFullError):
        budget.hold().take(SMALL_BYTES + 1)
    small = budget.hold()
    small.take(SMALL_BYTES)
    assert small.size == SMALL_BYTES


def test_what_never_fits_is_told_apart_from_what_does_not_fit_now():
    budget = Budget(8_000_000)
    with pytest.raises(RequestTooLargeError, match=r"needs 7\.0 MB of memory.*at most 7\.0 MB.*--request-memory"):
        budget.hold().take(7_000_001)
    budget.hold().take(4_000_000)
    with pytest.raises(RequestMemoryFullError, match=r"hold 4\.0 MB of the 8\.0 MB.*Try again in 1 s"):
        budget.hold().take(4_000_000)


def test_leaving_the_block_gives_back_everything():
    budget = Budget(1000)
    with budget.hold() as hold:
        hold.take(10)
    assert budget.in_use == 0
