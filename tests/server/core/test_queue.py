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
from pellucid.server.core.queue import Queue, QueuedRequest, choose, work
from pellucid.types import TokenBatch

FINISH = Pool(Pooling())


def request(*lengths: int, first: int = 0) -> QueuedRequest:
    """Texts of so many tokens, whose ids say which text of which request they are of."""
    return QueuedRequest(TokenBatch.from_sequences([[first + number] * n for number, n in enumerate(lengths)]), FINISH)


def rows(shares):
    """Stands for the engine: of each text its first id, so that a mixed-up answer shows."""
    return [np.array([ids[:1] for ids in share.tokens], dtype=np.float32) for share in shares]


LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(st.lists(LENGTHS, min_size=1, max_size=12), st.integers(1, 60))
def test_a_call_has_something_of_the_oldest_and_keeps_to_its_budget(lengths, budget):
    requests = [request(*each) for each in lengths]
    shares = choose(requests, budget)
    assert shares
    assert shares[0].request is requests[0]
    tokens = sum(len(share.tokens.ids) for share in shares)
    assert tokens <= budget or [(s.start, s.stop) for s in shares] == [(0, 1)]
    places = [requests.index(share.request) for share in shares]
    assert places == sorted(set(places))


@given(st.lists(LENGTHS, min_size=1, max_size=6), st.integers(1, 60))
def test_what_is_left_over_would_not_have_fitted(lengths, budget):
    requests = [request(*each) for each in lengths]
    shares = {share.request: share for share in choose(requests, budget)}
    room = budget - sum(len(share.tokens.ids) for share in shares.values())
    for each, given_lengths in zip(requests, lengths, strict=True):
        stop = shares[each].stop if each in shares else 0
        assert stop == len(given_lengths) or given_lengths[stop] > room


def test_a_short_request_goes_with_the_next_call_behind_a_huge_one():
    huge, short = request(*[10] * 1000), request(5, first=5000)
    shares = choose([huge, short], 100)
    assert {share.request for share in shares} == {huge, short}
    assert sum(len(share.tokens.ids) for share in shares) > 90


def test_a_lone_request_is_taken_at_once():
    queue = Queue(most_tokens=100, tokens_per_call=50)
    one = request(3, 4)
    queue.put(one)
    (share,) = queue.take()
    assert (share.request, share.start, share.stop) == (one, 0, 2)
    assert queue.waiting() == (0, 0)


def test_too_much_is_refused_and_says_when_to_come_back():
    queue = Queue(most_tokens=100, tokens_per_call=50)
    queue.put(request(40))
    queue.put(request(40))
    with pytest.raises(QueueFullError, match=r"80 tokens are waiting already.*Try again in 4 s") as caught:
        queue.put(request(40), tokens_per_second=10)
    assert caught.value.retry_after == 4
    queue.take()
    queue.put(request(40))


def test_one_huge_request_does_not_shut_the_others_out():
    queue = Queue(most_tokens=100, tokens_per_call=50)
    queue.put(request(*[10] * 1000))
    queue.put(request(40))
    with pytest.raises(QueueFullError):
        queue.put(request(40))


def test_what_is_dropped_costs_nothing_and_leaves_its_room():
    queue = Queue(most_tokens=100, tokens_per_call=50)
    first, second = request(50), request(50)
    queue.put(first)
    queue.put(second)
    queue.drop(first)
    queue.put(request(50))
    assert queue.waiting() == (2, 100)
    assert queue.take()[0].request is second


def test_a_closed_queue_takes_nothing_more_and_gives_what_it_has():
    queue = Queue(most_tokens=100, tokens_per_call=50)
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
def test_every_request_gets_one_answer_and_it_is_its_own(actions, budget, failing):
    queue = Queue(most_tokens=400, tokens_per_call=budget)
    answers = collections.defaultdict(list)
    calls = iter(range(1_000_000))

    def compute(shares):
        if next(calls) in failing:
            raise RuntimeError("the engine failed")
        return rows(shares)

    def deliver(found):
        for answer in found:
            answers[answer.request].append(answer.result)

    thread = threading.Thread(target=work, args=(queue, compute, deliver))
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
        assert len(answers[one]) == 1 or (one in dropped and not answers[one])
        for result in answers[one]:
            if isinstance(result, Exception):
                assert failing
            else:
                assert result[:, 0].tolist() == [1000 * number + text for text in range(len(one.tokens))]
    assert queue.waiting() == (0, 0)
