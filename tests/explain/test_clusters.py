from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.explain.clusters import MOST, clusters
from tests.explain.test_text_map import TOPICS, VECTORS


@given(VECTORS)
def test_groups_are_numbered_as_they_occur(vectors):
    groups = clusters(vectors).tolist()
    assert len(groups) == len(vectors)
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))
    assert len(set(groups)) <= MOST
    assert clusters(vectors).tolist() == groups


@given(arrays(np.float32, (6, 3), elements=st.integers(-5, 5).map(float)), st.permutations(range(6)))
def test_equal_vectors_are_in_one_group(vectors, order):
    groups = clusters(np.concatenate([vectors, vectors[list(order)]]))
    assert (groups[:6][list(order)] == groups[6:]).all()


def test_vectors_that_differ_in_their_last_bits_are_told_apart_or_not_but_never_an_error():
    one = np.full(384, 384**-0.5, dtype=np.float32)
    other = one.copy()
    other[0] = np.nextafter(other[0], np.float32(1))
    assert clusters(np.stack([one, one, other, other])).tolist() == [0, 0, 1, 1]
    tiny = np.array([[0, 1], [6e-26, 6e-26], [6e-26, 1], [6e-26, 6e-26]], dtype=np.float32)
    assert clusters(tiny).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("size", [8, 300])  # The larger one is judged by a sample.
def test_clouds_are_found(size):
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(4, dtype=np.float32) * 50, size, axis=0)
    groups = clusters(centres + rng.normal(size=centres.shape).astype(np.float32))
    assert groups.tolist() == np.repeat(range(4), size).tolist()


def test_topics_are_found(minilm):
    groups = clusters(minilm.embed_documents(TOPICS))
    assert groups.tolist() == np.repeat(range(5), 4).tolist()
