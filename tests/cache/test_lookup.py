from __future__ import annotations

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.cache.codecs import VectorCodec
from pellucid.cache.lookup import look_up, open_cache
from pellucid.cache.store import Cache, make_keys
from pellucid.errors import OptionError
from pellucid.layers.finish import Pool
from pellucid.layers.pooling import Pooling

FINGERPRINT = b"what else a vector depends on"
CODEC = VectorCodec(3)
MERGE = Pool(Pooling(("mean",))).merge


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "vectors.db")


def vectors(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)


def test_texts_without_a_vector_are_missing_and_equal_ones_appear_once(cache):
    cache.put(make_keys(FINGERPRINT, ["b", "d"]), vectors(2, 4), [20, 40], CODEC)
    lookup = look_up(cache, FINGERPRINT, ["a", "b", "a", "d", "c"], CODEC)
    assert lookup.missing == ["a", "c"]
    assert [lookup.position(row) for row in range(2)] == [0, 4]
    np.testing.assert_array_equal(lookup.join_counts(np.array([10, 30], dtype=np.int32)), [10, 20, 10, 40, 30])
    np.testing.assert_array_equal(lookup.join_results(vectors(1, 3), MERGE), vectors(1, 2, 1, 4, 3))
    cache.put(lookup.missing_keys, vectors(1, 3), [10, 30], CODEC)
    again = look_up(cache, FINGERPRINT, ["c", "a"], CODEC)
    assert again.missing == []
    np.testing.assert_array_equal(again.join_results(vectors(), MERGE), vectors(3, 1))


def test_a_call_may_have_no_texts(cache):
    lookup = look_up(cache, FINGERPRINT, [], CODEC)
    assert (lookup.missing, lookup.join_results(vectors(), MERGE).shape) == ([], (0, 3))


def test_a_cache_is_a_path_or_a_cache(cache, tmp_path):
    assert open_cache(cache) is cache
    assert open_cache(str(tmp_path / "other.db")).path == tmp_path / "other.db"
    assert open_cache(None) is None
    with pytest.raises(OptionError, match="cache is of type int"):
        open_cache(3)
    with pytest.raises(OptionError, match="cache is of type int"):
        Embedder("all-MiniLM-L6-v2", cache=3)
