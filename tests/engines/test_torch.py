from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines.torch import _steps

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=60).map(lambda lengths: np.array(lengths, dtype=np.int32))


@given(LENGTHS, st.integers(1, 200), st.sampled_from([0.0, 0.5, 0.875, 1.0]))
def test_every_text_is_in_one_step_and_no_step_is_too_large_or_too_uneven(lengths, tokens, least_share):
    steps = list(_steps(lengths, tokens, least_share))
    assert sorted(np.concatenate(steps).tolist()) == list(range(len(lengths)))
    for step in steps:
        longest, shortest = lengths[step].max(), lengths[step].min()
        assert len(step) == 1 or len(step) * longest <= tokens
        assert shortest >= least_share * longest


@given(LENGTHS, st.integers(1, 200))
def test_without_padding_only_equally_long_texts_go_together(lengths, tokens):
    for step in _steps(lengths, tokens, 1.0):
        assert len(set(lengths[step].tolist())) == 1
