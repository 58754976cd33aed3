from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.torch.planning import end_of_step, longest_first

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=60).map(
    lambda lengths: np.array(sorted(lengths, reverse=True), dtype=np.int32)
)


def steps(lengths, tokens, least_share):
    start = 0
    while start < len(lengths):
        stop = end_of_step(lengths, start, tokens, least_share)
        yield lengths[start:stop]
        start = stop


@given(LENGTHS, st.integers(1, 200), st.sampled_from([0.0, 0.5, 0.875, 1.0]))
def test_every_text_is_in_one_step_and_no_step_is_too_large_or_too_uneven(lengths, tokens, least_share):
    planned = list(steps(lengths, tokens, least_share))
    assert np.concatenate(planned).tolist() == lengths.tolist()
    for step in planned:
        assert len(step) == 1 or len(step) * step[0] <= tokens
        assert step[-1] >= least_share * step[0]


@given(LENGTHS, st.integers(1, 200), st.sampled_from([0.0, 0.5, 1.0]))
def test_no_step_could_have_taken_the_next_text_too(lengths, tokens, least_share):
    start = 0
    while start < len(lengths):
        stop = end_of_step(lengths, start, tokens, least_share)
        if stop < len(lengths):
            too_large = (stop + 1 - start) * lengths[start] > tokens
            assert too_large or lengths[stop] < least_share * lengths[start]
        start = stop


@given(st.lists(st.integers(0, 9), max_size=30))
def test_texts_without_tokens_are_left_out_and_equal_ones_keep_their_order(lengths):
    expected = sorted((i for i, n in enumerate(lengths) if n), key=lambda i: (-lengths[i], i))
    assert longest_first(np.array(lengths, dtype=np.int32)).tolist() == expected
