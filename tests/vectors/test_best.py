from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.vectors.best import BestOfRows, largest

FEW = st.sampled_from([-np.inf, -2.0, -1.0, 0.0, 1.0, 2.0])
"""So few values that many are equal."""


@given(arrays(np.float32, st.integers(1, 30), elements=FEW), st.integers(1, 40))
def test_the_largest_of_a_row_are_those_of_a_stable_sort(values, k):
    assert largest(values, k).tolist() == np.argsort(-values, kind="stable")[:k].tolist()


@given(st.data())
def test_the_best_of_all_blocks_are_those_of_a_stable_sort(data):
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 40))
    scores = data.draw(arrays(np.float32, (rows, columns), elements=FEW))
    k = data.draw(st.integers(1, columns))
    best = BestOfRows(rows, k)
    cuts = sorted(data.draw(st.sets(st.integers(1, columns - 1))) if columns > 1 else [])
    for start, stop in zip([0, *cuts], [*cuts, columns], strict=True):
        half = rows // 2
        for part in (slice(0, half), slice(half, rows)):
            best.offer(start, scores[part, start:stop], part)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(best.columns, expected)
    np.testing.assert_array_equal(best.scores, np.take_along_axis(scores, expected, axis=1))


def test_useless_scores_are_left_out():
    best = BestOfRows(2, 3, least=0.5)
    best.offer(0, np.array([[0.9, 0.5, 0.6], [0.1, 0.2, 0.5]], dtype=np.float32))
    best.offer(3, np.array([[0.7, 0.4], [0.4, 0.4]], dtype=np.float32))
    assert best.columns.tolist() == [[0, 3, 2], [-1, -1, -1]]
    assert best.scores[0].tolist() == pytest.approx([0.9, 0.7, 0.6])


def test_many_equal_scores_keep_the_first_columns():
    best = BestOfRows(3, 2)
    for first in range(0, 5000, 1000):
        best.offer(first, np.ones((3, 1000), dtype=np.float32))
    assert best.columns.tolist() == [[0, 1]] * 3
