from __future__ import annotations

import collections
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import QueueFullError, ServerStoppingError
from pellucid.layers.finish import Pool
from pellucid.layers.pooling import Pooling
from pellucid.server.core.queue import Queue, QueuedRequest, choose_slices, process_queue
from pellucid.types import TokenBatch

FINISH = Pool(Pooling())


def request(*lengths: int, first: int = 0) -> QueuedRequest:
    """A request of texts with these lengths. Each text repeats one id, which is unique to the text and request."""
    return QueuedRequest(TokenBatch.from_sequences([[first + number] * n for number, n in enumerate(lengths)]), FINISH)


def first_ids(slices):
    """Stands in for the engine. Returns the first id of each text, so that mixed-up results are noticed."""
    return [np.array([ids[:1] for ids in chosen.tokens], dtype=np.float32) for chosen in slices]


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(st.lists(LENGTHS, min_size=1, max_size=12), st.integers(1, 60))
def test_a_call_has_part_of_the_oldest_request_and_at_most_its_budget(lengths, budget):
    requests = [request(*each) for each in lengths]
    slices = choose_slices(requests, budget)
    assert slices
    assert slices[0].request is requests[0]
    tokens = sum(len(chosen.tokens.ids) for chosen in slices)
    assert tokens <= budget or [(s.start, s.stop) for s in slices] == [(0, 1)]
    places = [requests.index(chosen.request) for chosen in slices]
    assert places == sorted(set(places))


@given(st.lists(LENGTHS, min_size=1, max_size=6), st.integers(1, 60))
def test_texts_that_are_left_out_would_not_have_fitted(lengths, budget):
    requests = [request(*each) for each in lengths]
    slices = {chosen.request: chosen for chosen in choose_slices(requests, budget)}
    room = budget - sum(len(chosen.tokens.ids) for chosen in slices.values())
    for each, given_lengths in zip(requests, lengths, strict=True):
        stop = slices[each].stop if each in slices else 0
        assert stop == len(given_lengths) or given_lengths[stop] > room


def test_a_short_request_behind_a_huge_one_goes_with_the_next_call():
    huge, short = request(*[10] * 1000), request(5, first=5000)
    slices = choose_slices([huge, short], 100)
    assert {chosen.request for chosen in slices} == {huge, short}
    assert sum(len(chosen.tokens.ids) for chosen in slices) > 90


def test_a_lone_request_is_taken_whole():
    queue = Queue(max_tokens=100, tokens_per_call=50)
    one = request(3, 4)
    queue.put(one)
    (chosen,) = queue.take()
    assert (chosen.request, chosen.start, chosen.stop) == (one, 0, 2)
    assert queue.count_waiting() == (0, 0)


def test_a_full_queue_refuses_and_says_when_to_try_again():
    queue = Queue(max_tokens=100, tokens_per_call=50)
    queue.put(request(40))
    queue.put(request(40))
    with pytest.raises(QueueFullError, match=r"the queue is full \(80 tokens waiting\)\. Retry in 4 s") as caught:
        queue.put(request(40), tokens_per_second=10)
    assert caught.value.retry_after == 4
    queue.take()
    queue.put(request(40))


def test_one_huge_request_does_not_shut_out_the_others():
    queue = Queue(max_tokens=100, tokens_per_call=50)
    queue.put(request(*[10] * 1000))
    queue.put(request(40))
    with pytest.raises(QueueFullError):
        queue.put(request(40))


def test_a_dropped_request_is_not_computed_and_makes_room():
    queue = Queue(max_tokens=100, tokens_per_call=50)
    first, second = request(50), request(50)
    queue.put(first)
    queue.put(second)
    queue.drop(first)
    queue.put(request(50))
    assert queue.count_waiting() == (2, 100)
    assert queue.take()[0].request is second


def test_a_closed_queue_accepts_nothing_more_and_still_gives_what_it_has():
    queue = Queue(max_tokens=100, tokens_per_call=50)
    queue.put(request(5))
    queue.close()
    with pytest.raises(ServerStoppingError):
        queue.put(request(5))
    assert queue.take() is not None
    assert queue.take() is None


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.integers(1, 30), min_size=1, max_size=20)),
        st.tuples(st.just("drop"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.just(None)),
    ),
    max_size=40,
)


@given(ACTIONS, st.integers(5, 80), st.sets(st.integers(0, 30)))
def test_every_request_gets_exactly_its_own_result(actions, budget, failing):
    queue = Queue(max_tokens=400, tokens_per_call=budget)
    results = collections.defaultdict(list)
    calls = iter(range(1_000_000))

    def compute(slices):
        if next(calls) in failing:
            raise RuntimeError("the engine failed")
        return first_ids(slices)

    def deliver(outcomes):
        for outcome in outcomes:
            results[outcome.request].append(outcome.error or outcome.result)

    thread = threading.Thread(target=process_queue, args=(queue, compute, deliver))
    thread.start()
    put, dropped = [], set()
    for action, value in actions:
        if action == "put":
            one = request(*value, first=1000 * len(put))
            try:
                queue.put(one)
            except QueueFullError:
                continue
            put.append(one)
        elif action == "drop" and value < len(put):
            queue.drop(put[value])
            dropped.add(put[value])
        elif action == "wait":
            time.sleep(0.0002)
    queue.close()
    thread.join(60)
    assert not thread.is_alive()
    for number, one in enumerate(put):
        assert len(results[one]) == 1 or (one in dropped and not results[one])
        for result in results[one]:
            if isinstance(result, Exception):
                assert failing
            else:
                assert result[:, 0].tolist() == [1000 * number + text for text in range(len(one.tokens))]
    assert queue.count_waiting() == (0, 0)
