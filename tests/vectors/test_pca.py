from __future__ import annotations

import numpy as np
import pytest

from pellucid.vectors import pca
from pellucid.vectors.pca import reduce


def random_vectors(n=200, d=12):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, d)) * np.arange(1, d + 1) + 5).astype(np.float32)


def test_the_first_component_is_the_direction_of_the_largest_differences():
    line = np.array([[3, 4]], dtype=np.float32) * np.array([[-2], [0], [1], [5]], dtype=np.float32)
    reduced, variance = reduce(line, 1)
    np.testing.assert_allclose(reduced[:, 0], [-15, -5, 0, 20], atol=1e-5)
    assert variance == pytest.approx(1)


def test_components_are_centred_uncorrelated_and_sorted_by_variance():
    reduced, _ = reduce(random_vectors(), 5)
    np.testing.assert_allclose(reduced.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(reduced.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-3)
    assert (np.diff(np.diag(covariance)) <= 0).all()


def test_all_components_keep_all_distances():
    vectors = random_vectors()
    reduced, variance = reduce(vectors, 12)
    assert variance == pytest.approx(1)
    for a, b in ((0, 1), (3, 190)):
        assert np.linalg.norm(reduced[a] - reduced[b]) == pytest.approx(
            np.linalg.norm(vectors[a] - vectors[b]), rel=1e-5
        )


def test_the_share_of_the_variance_is_what_the_components_have_of_it():
    vectors = random_vectors()
    reduced, variance = reduce(vectors, 4)
    assert variance == pytest.approx(reduced.var(axis=0).sum() / vectors.var(axis=0).sum(), rel=1e-5)


def test_the_farthest_vector_is_on_the_positive_side():
    reduced, _ = reduce(random_vectors(), 12)
    assert (reduced[np.abs(reduced).argmax(axis=0), np.arange(12)] > 0).all()


def test_blocks_change_nothing_but_rounding(monkeypatch):
    vectors = random_vectors()
    whole, _ = reduce(vectors, 6)
    monkeypatch.setattr(pca, "MAX_NUMBERS", 50)
    np.testing.assert_allclose(reduce(vectors, 6)[0], whole, atol=1e-4)


def test_equal_vectors_have_no_variance():
    reduced, variance = reduce(np.ones((4, 3), dtype=np.float32), 2)
    assert not reduced.any()
    assert variance == 1
