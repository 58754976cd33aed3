from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import OptionError
from pellucid.vectors import blocks, duplicates, similarity
from pellucid.vectors.duplicates import ROUNDING, near_duplicates

VECTORS = st.tuples(st.integers(0, 30), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.integers(-3, 3).map(float))
)


@given(VECTORS, st.floats(0.01, 1))
def test_what_is_kept_and_removed(vectors, threshold):
    """One by one: a vector is removed if it reaches the threshold with one that was kept before it."""
    found = near_duplicates(vectors, threshold)
    cosines = similarity.similarity(vectors, vectors)
    kept: list[int] = []
    for row in range(len(vectors)):
        best = max(cosines[row, kept], default=-1)
        if best >= threshold + 1e-5:
            assert found.original[row] != row
        elif best < threshold - 1e-5:
            assert found.original[row] == row
        if found.original[row] == row:
            kept.append(row)
            assert found.cosine[row] == 1
        else:
            assert found.original[row] in kept
            assert found.cosine[row] == pytest.approx(best, abs=1e-5)
            assert found.cosine[row] >= threshold - 2 * ROUNDING
    assert found.kept.tolist() == kept
    assert sorted([*found.kept, *found.removed]) == list(range(len(vectors)))
    assert sorted(index for group in found.groups() for index in group[1:]) == found.removed.tolist()
    assert all((found.original[group] == group[0]).all() for group in found.groups())


@given(arrays(np.float32, (5, 8), elements=st.floats(-1, 1, width=32)), st.permutations(range(5)))
def test_the_same_vector_twice_is_found_with_a_threshold_of_1(vectors, order):
    vectors = vectors[np.abs(vectors).max(axis=1) > 0]
    again = vectors[[index for index in order if index < len(vectors)]] * np.float32(3)
    assert (near_duplicates(np.concatenate([vectors, again]), 1).removed >= len(vectors)).sum() == len(vectors)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 3))
    whole = near_duplicates(vectors, 0.9)
    monkeypatch.setattr(duplicates, "COSINE_ROWS", 7)
    monkeypatch.setattr(blocks, "COSINE_ROWS", 3)
    monkeypatch.setattr(blocks, "MAX_NUMBERS", 3 * 5)
    assert near_duplicates(vectors, 0.9).original.tolist() == whole.original.tolist()
    assert 0 < len(whole.kept) < 200


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan"), 95, "0.9", None, True])
def test_a_threshold_is_a_cosine(threshold):
    with pytest.raises(OptionError, match="it is a cosine"):
        near_duplicates(np.eye(2), threshold)


def test_its_repr_is_short():
    assert repr(near_duplicates([[1.0, 0.0], [1.0, 0.0]])) == "NearDuplicates(1 kept, 1 removed)"
