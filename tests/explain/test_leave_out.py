from __future__ import annotations

import pytest

from pellucid.explain.leave_out import choose_groups

GROUPS = {
    "sentences": [(1, 2), (3, 4, 5)],
    "words": [(1,), (2,), (3, 4), (5,)],
    "tokens": [(1,), (2,), (3,), (4,), (5,)],
}
"""Of a pair of 7 tokens: sentences take 5 + 4, words 6 + 6 + 5 + 6, and tokens 6 each, of which three are words."""


@pytest.mark.parametrize(
    ("limit", "chosen", "others"),
    [
        (44, ["sentences", "words", "tokens"], {}),
        (43, ["sentences", "words"], {"tokens": 12}),
        (32, ["sentences", "words"], {"tokens": 12}),
        (31, ["sentences"], {"words": 23, "tokens": 30}),
        (9, ["sentences"], {"words": 23, "tokens": 30}),
        (8, [], {"sentences": 9, "words": 23, "tokens": 30}),
    ],
)
def test_groups_are_chosen_in_order_and_parts_of_several_groups_count_once(limit, chosen, others):
    assert choose_groups(GROUPS, 7, limit) == (chosen, others)


def test_a_group_that_fits_is_chosen_although_one_before_it_does_not():
    assert choose_groups({"long": [(1,), (2,)], "short": [(3,)]}, 4, 5) == (["short"], {"long": 6})
