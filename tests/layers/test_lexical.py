from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InvalidModelError
from pellucid.layers.dense import Dense
from pellucid.layers.lexical import LexicalWeights
from pellucid.types import TokenBatch

# The weight of a token is the first number of its vector, plus a half.
DENSE = Dense(np.array([[1, 0]], dtype=np.float32), np.array([0.5], dtype=np.float32), "relu")


def vectors_of(numbers: list[float]) -> np.ndarray:
    return np.stack([np.array(numbers, dtype=np.float32), np.full(len(numbers), 9, dtype=np.float32)], axis=1)


def test_a_token_has_the_largest_of_its_weights():
    tokens = TokenBatch.from_sequences([[0, 4, 3, 4, 2], [3]])
    finish = LexicalWeights(DENSE, vocab_size=6, unused=(0, 2))
    found = finish(vectors_of([9, 1, 2, 3, 9, -1]), tokens)
    assert found.to_dense().tolist() == [[0, 0, 0, 2.5, 3.5, 0], [0] * 6]
    assert finish.raised_by(vectors_of([9, 1, 2, 3, 9]), tokens.part(0, 1), found[0].indices).tolist() == [2, 3]


@given(st.lists(st.lists(st.tuples(st.integers(0, 7), st.integers(-4, 4)), max_size=6), max_size=5))
def test_all_texts_at_once_give_what_each_gives_alone(texts):
    tokens = TokenBatch.from_sequences([[number for number, _ in text] for text in texts])
    vectors = vectors_of([weight for text in texts for _, weight in text])
    finish = LexicalWeights(DENSE, vocab_size=8, unused=(1,), max_active_dims=3)
    found = finish(vectors, tokens)
    assert len(found) == len(texts)
    for text, row in zip(texts, found.to_dense(), strict=True):
        expected: dict[int, float] = {}
        for number, weight in text:
            if number != 1 and weight + 0.5 > 0:
                expected[number] = max(expected.get(number, 0), weight + 0.5)
        kept = sorted(expected.values(), reverse=True)[:3]
        assert sorted(row[row > 0], reverse=True) == kept
        assert all(expected[index] == row[index] for index in np.flatnonzero(row).tolist())


def test_a_weight_that_is_not_finite_is_named():
    finish = LexicalWeights(DENSE, vocab_size=6)
    found = finish(vectors_of([1, np.nan]), TokenBatch.from_sequences([[3], [4]]))
    with pytest.raises(InvalidModelError, match="text 1 a weight that is not finite"):
        finish.check(found, int)
