from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError
from pellucid.types import MultiVectors, TokenBatch, check_tokens

sequences = st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=9), max_size=9)


@given(sequences)
def test_a_batch_gives_back_its_sequences(ids):
    batch = TokenBatch.from_sequences(ids)
    assert [sequence.tolist() for sequence in batch] == ids
    assert len(batch) == len(ids)
    assert batch.lengths.tolist() == [len(sequence) for sequence in ids]
    assert (batch.ids.dtype, batch.offsets.dtype) == (np.int32, np.int32)


@given(sequences, st.data())
def test_select_takes_texts_in_the_given_order(ids, data):
    indices = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=9)) if ids else []
    chosen = TokenBatch.from_sequences(ids).select(np.array(indices, dtype=np.int64))
    assert [sequence.tolist() for sequence in chosen] == [ids[index] for index in indices]


def test_what_a_text_looks_at_follows_it():
    batch = TokenBatch.from_sequences([[1, 2], [3], [4, 5, 6]])
    some = TokenBatch(batch.ids, batch.offsets, attended=np.array([1, 1, 2], dtype=np.int32))
    assert some.select(np.array([2, 0])).attended.tolist() == [2, 1]
    assert some.part(1, 3).attended.tolist() == [1, 2]
    assert TokenBatch.join([batch, some]).attended.tolist() == [2, 1, 3, 1, 1, 2]
    assert TokenBatch.join([batch, batch]).attended is None


@pytest.mark.parametrize("attended", [[1, 1], [0, 1, 1], [1, 2, 1], [1.0, 1.0, 1.0]])
def test_what_a_text_looks_at_is_part_of_it(attended):
    batch = TokenBatch.from_sequences([[1, 2], [3], [4, 5, 6]])
    numbers = np.array(attended) if isinstance(attended[0], float) else np.array(attended, dtype=np.int32)
    with pytest.raises(InputError, match="attended"):
        check_tokens(TokenBatch(batch.ids, batch.offsets, attended=numbers), 10, 9, 0)


@given(st.lists(st.lists(st.booleans(), max_size=5), min_size=1, max_size=5))
def test_some_vectors_of_each_text(kept):
    lengths = [len(each) for each in kept]
    vectors = np.arange(sum(lengths), dtype=np.float32)[:, None]
    texts = MultiVectors(vectors, np.cumsum([0, *lengths], dtype=np.int32))
    chosen = texts.select(np.array(list(itertools.chain(*kept)), dtype=np.bool_))
    assert chosen.offsets.dtype == np.int32
    for few, many, flags in zip(chosen, texts, kept, strict=True):
        assert few[:, 0].tolist() == [number for number, flag in zip(many[:, 0].tolist(), flags, strict=True) if flag]


def test_neighbours_are_selected_as_views():
    batch = TokenBatch.from_sequences([[1], [2, 3], [], [4]])
    chosen = batch.select(np.array([1, 2, 3]))
    assert [ids.tolist() for ids in chosen] == [[2, 3], [], [4]]
    assert np.shares_memory(chosen.ids, batch.ids)
    assert [ids.tolist() for ids in batch.select(np.array([1, 1, 3]))] == [[2, 3], [2, 3], [4]]


def test_select_can_swap_two_texts():
    chosen = TokenBatch.from_sequences([[1, 2], [3]]).select(np.array([1, 0]))
    assert (chosen.ids.tolist(), chosen.offsets.tolist()) == ([3, 1, 2], [0, 1, 3])


def test_a_batch_may_have_as_many_tokens_as_int32_can_count(monkeypatch):
    """The patch avoids the 8 GB that they would take."""
    monkeypatch.setattr(np, "concatenate", lambda arrays: arrays[0])
    ids = np.broadcast_to(np.int32(0), 2**31 - 1)
    assert TokenBatch.from_sequences([ids]).offsets.tolist() == [0, 2**31 - 1]


def test_more_tokens_than_int32_can_count_are_refused():
    many = np.broadcast_to(np.int32(0), 2**30)  # It takes no memory.
    with pytest.raises(InputError, match="2,147,483,648 tokens are too many for one call"):
        TokenBatch.from_sequences([many, many])
    half = TokenBatch(many, np.array([0, 2**30], dtype=np.int32))
    with pytest.raises(InputError, match="2,147,483,648 tokens are too many for one call"):
        TokenBatch.join([half, half])


@pytest.mark.parametrize(
    ("ids", "offsets", "message"),
    [
        ([1, 2, -1], [0, 2, 3], "text 1 has the token id -1, but this model's ids are 0 to 9"),
        ([1, 10, 3], [0, 0, 1, 3], "text 2 has the token id 10"),
        ([1] * 6, [0, 1, 6], "text 1 has 5 tokens, but the model reads at most 4"),
        ([1, 2], [0, 1], "must rise from 0 to the number of its ids"),
        ([1, 2], [1, 2], "must rise from 0"),
        ([1, 2], [0, 2, 1, 2], "must rise from 0"),
        ([1, 2], [0, -(2**31), 2], "must rise from 0"),
        ([], [], "must rise from 0"),
    ],
)
def test_a_batch_that_does_not_fit_the_model_is_refused(ids, offsets, message):
    with pytest.raises(InputError, match=message):
        check_tokens(TokenBatch(np.array(ids, dtype=np.int32), np.array(offsets, dtype=np.int32)), 10, 4, 0)


def test_a_batch_that_fits_the_model_is_accepted():
    check_tokens(TokenBatch.from_sequences([[0, 9, 1, 2], [], [3]]), 10, 4, 0)
    check_tokens(TokenBatch.from_sequences([]), 10, 4, 0)
    with pytest.raises(InputError, match="tokens is of type list"):
        check_tokens([[1, 2]], 10, 4, 0)


def test_wrong_arrays_are_refused():
    offsets = np.array([0, 2], dtype=np.int32)
    for ids in ([1, 2], np.array([1, 2]), np.array([[1, 2]], dtype=np.int32)):
        with pytest.raises(InputError, match="the ids of a TokenBatch must be a one-dimensional int32 array"):
            check_tokens(TokenBatch(ids, offsets), 10, 4, 0)
    with pytest.raises(InputError, match="the offsets of a TokenBatch must be a one-dimensional int32 array"):
        check_tokens(TokenBatch(np.zeros(2, dtype=np.int32), np.array([0.0, 2.0])), 10, 4, 0)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        (np.zeros(3, dtype=np.int64), "must be an int8 array"),
        (np.zeros(2, dtype=np.int8), "with one number for each id"),
        ([0, 0, 1], "must be an int8 array"),
        (np.array([0, 0, 2], dtype=np.int8), "text 1 has the segment 2, but this model's segments are 0 to 1"),
        (np.array([0, -1, 0], dtype=np.int8), "text 0 has the segment -1"),
    ],
)
def test_segments_that_do_not_fit_the_model_are_refused(segments, message):
    batch = TokenBatch.from_sequences([[1, 2], [3]])
    check_tokens(TokenBatch(batch.ids, batch.offsets, np.array([0, 1, 1], dtype=np.int8)), 10, 4, 2)
    with pytest.raises(InputError, match=message):
        check_tokens(TokenBatch(batch.ids, batch.offsets, segments), 10, 4, 2)


def test_a_model_without_token_types_has_no_second_segment():
    batch = TokenBatch.from_sequences([[1, 2]])
    check_tokens(TokenBatch(batch.ids, batch.offsets, np.zeros(2, dtype=np.int8)), 10, 4, 0)
    with pytest.raises(InputError, match="segments are 0 to 0"):
        check_tokens(TokenBatch(batch.ids, batch.offsets, np.ones(2, dtype=np.int8)), 10, 4, 0)


def test_one_token_of_each_text_is_a_text_of_its_own():
    batch = TokenBatch(
        np.array([5, 6, 7, 8, 9], np.int32), np.array([0, 2, 5], np.int32), np.array([0, 1, 0, 0, 1], np.int8)
    )
    picked = batch.pick(np.array([1, 2], np.int32))
    assert (picked.ids.tolist(), picked.offsets.tolist(), picked.segments.tolist()) == ([6, 9], [0, 1, 2], [1, 1])


def test_no_texts_can_be_selected_from_a_batch_with_segments():
    batch = TokenBatch.from_sequences([[1, 2]])
    pairs = TokenBatch(batch.ids, batch.offsets, np.ones(2, dtype=np.int8))
    chosen = pairs.select(np.array([], dtype=np.int64))
    assert (len(chosen), len(chosen.ids), len(chosen.segments)) == (0, 0, 0)


@given(sequences)
def test_from_sequences_makes_a_valid_batch(ids):
    check_tokens(TokenBatch.from_sequences(ids), 2**31, 9, 0)


def test_an_empty_batch_has_no_texts_and_no_tokens():
    batch = TokenBatch.from_sequences([])
    assert (len(batch), batch.ids.shape, batch.offsets.tolist()) == (0, (0,), [0])


multi_vectors = st.lists(st.integers(0, 3), max_size=6).map(
    lambda lengths: MultiVectors(
        np.arange(2 * sum(lengths), dtype=np.float32).reshape(-1, 2), np.cumsum([0, *lengths], dtype=np.int32)
    )
)


@given(multi_vectors, st.data())
def test_texts_with_vectors_are_chosen_as_from_a_list(texts, data):
    arrays, count = [text.tolist() for text in texts], len(texts)
    assert texts.lengths.tolist() == [len(array) for array in arrays]
    assert [texts[place].tolist() for place in range(count)] == arrays
    places = data.draw(st.lists(st.integers(-count, count - 1), max_size=9)) if count else []
    assert [text.tolist() for text in texts[places]] == [arrays[place] for place in places]
    part = data.draw(st.slices(count))
    assert [text.tolist() for text in texts[part]] == arrays[part]
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=np.bool_)
    assert [text.tolist() for text in texts[kept]] == [array for array, keep in zip(arrays, kept, strict=True) if keep]
    with pytest.raises(IndexError):
        texts[count]


def test_parts_of_several_vectors_are_joined_in_order():
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    whole = MultiVectors(vectors, np.array([0, 2, 2, 5], dtype=np.int32))
    for cuts in ([0, 3], [0, 1, 3], [0, 0, 2, 2, 3]):
        joined = MultiVectors.join([whole[start:stop] for start, stop in itertools.pairwise(cuts)])
        np.testing.assert_array_equal(joined.vectors, vectors)
        assert joined.offsets.tolist() == [0, 2, 2, 5]
    assert MultiVectors.join([whole[:0]]).vectors.shape == (0, 2)
