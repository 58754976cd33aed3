from __future__ import annotations

import numpy as np
import pytest

from pellucid.layers.token_pooling import TokenPooling, ward_clusters
from pellucid.types import MultiVectors


def unit(*angles):
    """Vectors of length 1 in the plane, at these angles in degrees."""
    radians = np.deg2rad(np.array(angles))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def one(vectors):
    return MultiVectors(vectors, np.array([0, len(vectors)], dtype=np.int32))


def test_the_nearest_are_merged_first():
    vectors = unit(0, 90, 2, 180, 92)
    found = ward_clusters(1 - vectors @ vectors.T, 3)
    assert [found[0] == found[2], found[1] == found[4]] == [True, True]
    assert sorted(set(found.tolist())) == [0, 1, 2]
    assert len(set(ward_clusters(1 - vectors @ vectors.T, 1).tolist())) == 1


def test_a_cluster_becomes_its_mean():
    vectors = unit(10, 0, 90, 2, 92)
    pooled = TokenPooling(2, protected=1, normalize=False)(one(vectors))
    assert pooled.offsets.tolist() == [0, 3]  # The first one, and 4 / 2 others.
    np.testing.assert_array_equal(pooled.vectors[0], vectors[0])
    means = {tuple(mean) for mean in pooled.vectors[1:].tolist()}
    assert means == {tuple(vectors[[1, 3]].mean(axis=0).tolist()), tuple(vectors[[2, 4]].mean(axis=0).tolist())}
    lengths = np.linalg.norm(TokenPooling(2, protected=1)(one(vectors)).vectors, axis=1)
    assert lengths == pytest.approx(np.ones(3))


@pytest.mark.parametrize(("tokens", "factor", "expected"), [(0, 2, 0), (1, 2, 1), (2, 2, 2), (3, 2, 2), (9, 3.5, 3)])
def test_how_many_are_left(tokens, factor, expected):
    vectors = np.random.default_rng(0).standard_normal((tokens, 4)).astype(np.float32)
    assert len(TokenPooling(factor)(one(vectors)).vectors) == expected


def test_each_text_on_its_own():
    rng = np.random.default_rng(0)
    texts = [rng.standard_normal((length, 4)).astype(np.float32) for length in (7, 0, 1, 12)]
    pooled = TokenPooling(2)(MultiVectors.concatenate(texts))
    for together, text in zip(pooled, texts, strict=True):
        np.testing.assert_array_equal(together, TokenPooling(2)(one(text)).vectors)


def test_a_factor_of_one_merges_nothing():
    vectors = 2 * unit(0, 0, 90)
    assert TokenPooling(1, normalize=False)(one(vectors)).vectors is vectors
    np.testing.assert_allclose(TokenPooling(1)(one(vectors)).vectors, vectors / 2, atol=1e-7)
    empty = MultiVectors(vectors[:0], np.zeros(1, dtype=np.int32))
    assert len(TokenPooling(3)(empty)) == 0


def test_equal_vectors():
    vectors = np.repeat(unit(0, 90), 4, axis=0)
    assert len(set(ward_clusters(np.clip(1 - vectors @ vectors.T, 0, 2), 5).tolist())) == 2  # They are merged at once.


def test_the_clusters_and_their_order_are_those_of_scipy():
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    distance = pytest.importorskip("scipy.spatial.distance")
    for seed in range(200):
        rng = np.random.default_rng(seed)
        n, width = int(rng.integers(2, 90)), int(rng.integers(2, 20))
        vectors = rng.standard_normal((n, width)).astype(np.float32)
        if seed % 3 == 0:  # Some are equal.
            vectors = vectors[rng.integers(0, max(1, n // 2), n)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        distances = np.clip(1 - vectors @ vectors.T, 0, 2)
        count = int(rng.integers(1, n))
        tree = hierarchy.linkage(distance.squareform(distances, checks=False), method="ward")
        labels = hierarchy.fcluster(tree, t=count, criterion="maxclust")
        assert ward_clusters(distances, count).tolist() == np.unique(labels, return_inverse=True)[1].tolist()
