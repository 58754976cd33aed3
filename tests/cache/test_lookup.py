from __future__ import annotations

import numpy as np
import pytest

from pellucid.cache.lookup import opened, recall, space_of
from pellucid.cache.store import Cache
from pellucid.encoder.options import Request
from pellucid.engines.reference import ReferenceEngine
from pellucid.errors import OptionError

PLAIN = Request("", normalize=None, truncate_dim=None, output_dtype="float32")
SPACE = space_of("digest", ReferenceEngine, PLAIN)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "vectors.db")


def vectors(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)


def test_only_what_is_not_there_is_new_and_equal_texts_once(cache):
    cache.put(SPACE.keys(["b", "d"]), vectors(2, 4), [20, 40])
    known = recall(cache, SPACE, ["a", "b", "a", "d", "c"], 3)
    assert known.new == ["a", "c"]
    np.testing.assert_array_equal(known.tokens(np.array([10, 30], dtype=np.int32)), [10, 20, 10, 40, 30])
    np.testing.assert_array_equal(known.vectors(vectors(1, 3)), vectors(1, 2, 1, 4, 3))
    cache.put(known.keys, vectors(1, 3), [10, 30])
    again = recall(cache, SPACE, ["c", "a"], 3)
    assert again.new == []
    np.testing.assert_array_equal(again.vectors(vectors()), vectors(3, 1))


def test_no_texts_are_none(cache):
    known = recall(cache, SPACE, [], 3)
    assert (known.new, known.vectors(vectors()).shape) == ([], (0, 3))


def test_what_decides_a_vector_makes_a_space_of_its_own_and_the_type_of_the_output_does_not():
    others = [
        space_of("another", ReferenceEngine, PLAIN),
        space_of("digest", type("Engine", (), {"name": "native", "dtype": "int8"}), PLAIN),
        space_of("digest", type("Engine", (), {"name": "reference", "device": "cuda"}), PLAIN),
        space_of("digest", ReferenceEngine, Request("q: ", None, None, "float32")),
        space_of("digest", ReferenceEngine, Request("", True, None, "float32")),
        space_of("digest", ReferenceEngine, Request("", None, 2, "float32")),
    ]
    assert len({SPACE, *others}) == len(others) + 1
    assert space_of("digest", ReferenceEngine, Request("", None, None, "int8")) == SPACE


def test_a_cache_is_a_path_or_a_cache(cache, tmp_path):
    assert opened(cache) is cache
    assert opened(str(tmp_path / "other.db")).path == tmp_path / "other.db"
    with pytest.raises(OptionError, match="cache is of type int"):
        opened(3)
