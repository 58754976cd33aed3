from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.vectors import pairs
from pellucid.vectors.blocks import blocks
from pellucid.vectors.pairs import BestPairs

FEW = st.sampled_from([-np.inf, -1.0, 0.0, 1.0, 2.0, 3.0])
"""So few values that many are equal."""


def mined(scores, size, **options):
    """The best pairs of a symmetric matrix of scores, offered in square blocks."""
    best = BestPairs(len(scores), **options)
    for rows, columns in itertools.combinations_with_replacement(blocks(len(scores), size), 2):
        best.offer(rows, columns, scores[rows, columns])
    values, first, second = best.as_arrays()
    return list(zip(values.tolist(), first.tolist(), second.tolist(), strict=True))


@given(st.data())
def test_the_best_pairs_of_neighbours_are_found(data):
    count = data.draw(st.integers(1, 14))
    half = np.triu(data.draw(arrays(np.float32, (count, count), elements=FEW)), 1)
    scores = np.where(np.tri(count, dtype=bool), half.T, half)
    neighbours, limit = data.draw(st.integers(1, count)), data.draw(st.integers(1, count**2))
    ranked = [[j for j in np.argsort(-row, kind="stable") if j != i][:neighbours] for i, row in enumerate(scores)]
    near = {(min(i, j), max(i, j)) for i, row in enumerate(ranked) for j in row}
    last = [scores[i, row[-1]] if row else np.inf for i, row in enumerate(ranked)]
    expected = sorted((scores[pair] for pair in near), reverse=True)[:limit]

    room = pairs._ROOM
    pairs._ROOM = data.draw(st.sampled_from([0, 10, room]))
    try:
        found = mined(scores, data.draw(st.integers(1, count)), limit=limit, neighbours=neighbours)
    finally:
        pairs._ROOM = room

    assert [score for score, _, _ in found] == expected
    assert len({(i, j) for _, i, j in found}) == len(found)
    for score, i, j in found:
        assert i < j
        assert score == scores[i, j] >= min(last[i], last[j])
    if limit >= len(near):
        assert {(i, j) for _, i, j in found} == near
    assert found == sorted(found, key=lambda pair: (-pair[0], *pair[1:]))


def test_a_crowd_of_equal_vectors_takes_no_more_room_than_its_pairs_of_neighbours(monkeypatch):
    monkeypatch.setattr(pairs, "_ROOM", 100)
    most = 0
    drop = BestPairs._drop

    def watch(self):
        nonlocal most
        most = max(most, self._held)
        drop(self)

    monkeypatch.setattr(BestPairs, "_drop", watch)
    found = mined(np.ones((300, 300), dtype=np.float32), 20, limit=10, neighbours=3)
    assert found == [(1.0, 0, j) for j in range(1, 11)]
    assert most < 500  # of 44,850 pairs
