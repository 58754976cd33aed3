from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError
from pellucid.types import TokenBatch

sequences = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=9), max_size=9)


@given(sequences)
def test_a_batch_gives_back_the_sequences_it_was_made_of(ids):
    batch = TokenBatch.from_sequences(ids)
    assert [sequence.tolist() for sequence in batch] == ids
    assert len(batch) == len(ids)
    assert batch.lengths.tolist() == [len(sequence) for sequence in ids]
    assert (batch.ids.dtype, batch.offsets.dtype) == (np.int32, np.int32)


@given(sequences, st.data())
def test_select_takes_texts_in_the_order_asked_for(ids, data):
    indices = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=9)) if ids else []
    chosen = TokenBatch.from_sequences(ids).select(np.array(indices, dtype=np.int64))
    assert [sequence.tolist() for sequence in chosen] == [ids[index] for index in indices]


def test_more_tokens_than_int32_can_count_are_refused():
    many = np.broadcast_to(np.int32(0), 2**30)  # Takes no memory.
    with pytest.raises(InputError, match="2,147,483,648 tokens are too many for one call"):
        TokenBatch.from_sequences([many, many])


def batch_of(ids, offsets):
    return TokenBatch(np.array(ids, dtype=np.int32), np.array(offsets, dtype=np.int32))


@given(sequences)
def test_what_sequences_make_is_a_batch(ids):
    TokenBatch.from_sequences(ids).check(vocab_size=2**31, max_tokens=9)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (TokenBatch([1, 2], np.array([0, 2], dtype=np.int32)), "the ids of a TokenBatch must be an int32 array"),
        (TokenBatch(np.array([1, 2]), np.array([0, 2], dtype=np.int32)), "the ids of a TokenBatch must be an int32"),
        (TokenBatch(np.zeros(2, dtype=np.int32), np.array([0.0, 2.0])), "the offsets of a TokenBatch must be an int32"),
        (batch_of([[1, 2]], [0, 1]), "the ids of a TokenBatch must be .* of one dimension"),
        (batch_of([1, 2], []), "offsets must go from 0 up to the number of ids, 2"),
        (batch_of([1, 2], [1, 2]), "offsets must go from 0"),
        (batch_of([1, 2], [0, 1]), "offsets must go from 0"),
        (batch_of([1, 2], [0, 3]), "offsets must go from 0"),
        (batch_of([1, 2], [0, 2, 1, 2]), "and never down"),
        (batch_of([1, 2], [0, -(2**31), 2]), "and never down"),
        (batch_of([1, 5], [0, 2]), "token 1 has the id 5; ids are from 0 to 4"),
        (batch_of([1, 2, -1], [0, 3]), "token 2 has the id -1"),
        (batch_of([1, 2, 3, 4, 0], [0, 1, 5]), "text 1 has 4 tokens, and the model reads 3"),
    ],
)
def test_what_is_no_batch_is_refused_with_its_place(batch, message):
    with pytest.raises(InputError, match=message):
        batch.check(vocab_size=5, max_tokens=3)


def test_the_largest_id_and_the_longest_text_are_in_range():
    batch_of([0, 4, 4], [0, 0, 3]).check(vocab_size=5, max_tokens=3)


def test_an_empty_batch_has_no_texts_and_no_tokens():
    batch = TokenBatch.from_sequences([])
    assert (len(batch), batch.ids.shape, batch.offsets.tolist()) == (0, (0,), [0])
