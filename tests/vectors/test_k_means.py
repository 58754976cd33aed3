from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.vectors.k_means import MAX_CHOSEN, _squared_distances, choose_k_means, k_means
from tests.explain.test_text_map import TOPICS, VECTORS


@given(VECTORS)
def test_clusters_are_numbered_in_the_order_of_their_first_vectors(vectors):
    groups = choose_k_means(vectors).tolist()
    assert len(groups) == len(vectors)
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))
    assert len(set(groups)) <= MAX_CHOSEN
    assert choose_k_means(vectors).tolist() == groups


@given(arrays(np.float32, (6, 3), elements=st.integers(-5, 5).map(float)), st.permutations(range(6)))
def test_equal_vectors_are_in_the_same_cluster(vectors, order):
    groups = choose_k_means(np.concatenate([vectors, vectors[list(order)]]))
    assert (groups[:6][list(order)] == groups[6:]).all()


def test_vectors_that_differ_only_in_their_last_bits_do_not_fail():
    a = np.full(384, 384**-0.5, dtype=np.float32)
    b = a.copy()
    b[0] = np.nextafter(b[0], np.float32(1))
    assert choose_k_means(np.stack([a, a, b, b])).tolist() == [0, 0, 1, 1]
    tiny = np.array([[0, 1], [6e-26, 6e-26], [6e-26, 1], [6e-26, 6e-26]], dtype=np.float32)
    assert choose_k_means(tiny).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("size", [8, 300])  # The larger one is clustered by way of a sample.
def test_separate_clouds_are_found(size):
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(4, dtype=np.float32) * 50, size, axis=0)
    groups = choose_k_means(centres + rng.normal(size=centres.shape).astype(np.float32))
    assert groups.tolist() == np.repeat(range(4), size).tolist()


def test_topics_are_found(minilm):
    groups = choose_k_means(minilm.embed_documents(TOPICS))
    assert groups.tolist() == np.repeat(range(5), 4).tolist()


@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("size", [8, 3000])  # The larger one is clustered by way of a sample.
def test_a_given_number_of_clouds_is_found(size, k):
    rng = np.random.default_rng(1)
    centres = np.repeat(np.eye(4, dtype=np.float32)[:k] * 50, size, axis=0)
    groups = k_means(centres + rng.normal(size=centres.shape).astype(np.float32), k)
    assert groups.tolist() == np.repeat(range(k), size).tolist()


def test_there_are_no_more_groups_than_different_vectors():
    assert k_means(np.eye(2, dtype=np.float32)[[0, 1, 0, 1]], 4).tolist() == [0, 1, 0, 1]
    vectors = np.random.default_rng(0).normal(size=(3, 384)).astype(np.float32)
    assert k_means(vectors, 10**6).tolist() == [0, 1, 2]


def test_distances_are_computed_in_blocks_however_many_groups_there_are(monkeypatch):
    points = np.random.default_rng(1).normal(size=(3000, 4)).astype(np.float32)
    groups = k_means(points, 30)
    sizes = []

    def squared_distances(points, centres):
        found = _squared_distances(points, centres)
        sizes.append(found.size if len(centres) > 1 else 0)  # Of one centre: a number for each point.
        return found

    monkeypatch.setattr("pellucid.vectors.k_means.MAX_NUMBERS", 1000)
    monkeypatch.setattr("pellucid.vectors.k_means._squared_distances", squared_distances)
    assert (k_means(points, 30) == groups).all()
    assert 0 < max(sizes) <= 1000
