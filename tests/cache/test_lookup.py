from __future__ import annotations

import numpy as np
import pytest

from pellucid.cache.lookup import look_up, open_cache
from pellucid.cache.store import Cache, keys_of
from pellucid.errors import OptionError

FINGERPRINT = b"what else a vector depends on"


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "vectors.db")


def vectors(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)


def test_only_what_is_not_there_is_new_and_equal_texts_once(cache):
    cache.put(keys_of(FINGERPRINT, ["b", "d"]), vectors(2, 4), [20, 40])
    known = look_up(cache, FINGERPRINT, ["a", "b", "a", "d", "c"], 3)
    assert known.new == ["a", "c"]
    np.testing.assert_array_equal(known.tokens(np.array([10, 30], dtype=np.int32)), [10, 20, 10, 40, 30])
    np.testing.assert_array_equal(known.vectors(vectors(1, 3)), vectors(1, 2, 1, 4, 3))
    cache.put(known.keys, vectors(1, 3), [10, 30])
    again = look_up(cache, FINGERPRINT, ["c", "a"], 3)
    assert again.new == []
    np.testing.assert_array_equal(again.vectors(vectors()), vectors(3, 1))


def test_no_texts_are_none(cache):
    known = look_up(cache, FINGERPRINT, [], 3)
    assert (known.new, known.vectors(vectors()).shape) == ([], (0, 3))


def test_a_cache_is_a_path_or_a_cache(cache, tmp_path):
    assert open_cache(cache) is cache
    assert open_cache(str(tmp_path / "other.db")).path == tmp_path / "other.db"
    with pytest.raises(OptionError, match="cache is of type int"):
        open_cache(3)
