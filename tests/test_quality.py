"""Tests the measures of quality on worked examples. ``tests/reference/test_quality.py`` measures the real model."""

from __future__ import annotations

import pytest
from benchmarks.quality import ndcg, spearman


def test_spearman_is_right_on_a_worked_example():
    assert spearman([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) == pytest.approx(0.8207826816681233)


def test_ndcg_is_right_on_a_worked_example():
    """The example in Wikipedia's article "Discounted cumulative gain": 6.861 of 8.740."""
    relevant = {"1": 3, "2": 2, "3": 3, "5": 1, "6": 2, "7": 3, "8": 2}
    assert ndcg("123456", relevant, cut=6) == pytest.approx(6.861 / 8.740, abs=1e-4)
    assert ndcg("123456", {}) == 0
