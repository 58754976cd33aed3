"""Several engines as one. The reference engine, which needs no PyTorch, takes the place of each GPU's engine."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.engines.base import Engine
from pellucid.engines.torch.several import SeveralDevices, deal
from pellucid.errors import DeviceError
from pellucid.layers.finish import EachToken, Pool
from pellucid.layers.norms import Normalize
from pellucid.layers.pooling import Pooling
from pellucid.types import TokenBatch

POOL = Pool(Pooling(("mean",)), (Normalize(),))
WAIT = 60


class Recording(Engine):
    """An engine that passes its work on, and notes how many texts each call had."""

    name = "recording"

    def __init__(self, engine, device):
        self.engine, self.device, self.calls = engine, device, []
        self.before = lambda: None

    def token_vectors(self, batch):
        self.before()
        self.calls.append(len(batch))
        return self.engine.token_vectors(batch)


@pytest.fixture
def reference(tiny_bert):
    return Embedder(tiny_bert, engine="reference").engine


@pytest.fixture
def engines(reference):
    return [Recording(reference, f"cuda:{index}") for index in range(3)]


def texts(lengths):
    random = np.random.default_rng(0)
    return TokenBatch.from_sequences([random.integers(1, 20, length) for length in lengths])


@pytest.mark.parametrize("finish", [POOL, EachToken()], ids=["pool", "each token"])
@pytest.mark.parametrize("lengths", [[3, 9, 4, 1, 12, 7, 2, 0, 5], [4, 4], [6], [0, 0], []])
def test_the_results_are_those_of_one_engine_in_order(engines, reference, finish, lengths):
    batch = texts(lengths)
    result, expected = (engine.run(batch, finish) for engine in (SeveralDevices(engines, 8), reference))
    assert getattr(result, "vectors", result).tobytes() == getattr(expected, "vectors", expected).tobytes()
    if finish != POOL:
        assert result.offsets.tolist() == expected.offsets.tolist()


def test_token_vectors_are_those_of_one_engine(engines, reference):
    batch = texts([3, 9, 4, 1, 12])
    assert SeveralDevices(engines, 8).token_vectors(batch).tobytes() == reference.token_vectors(batch).tobytes()


def test_each_engine_gets_a_share_and_all_run_at_the_same_time(engines):
    together = threading.Barrier(3)
    for engine in engines:
        engine.before = lambda: together.wait(WAIT)
    SeveralDevices(engines, 8).run(texts([3, 9, 4, 1, 12, 7, 2]), POOL)
    assert [engine.calls for engine in engines] == [[3], [2], [2]]


def test_small_calls_run_on_one_engine_and_the_engines_take_turns(engines):
    several = SeveralDevices(engines, 100)
    for _ in range(4):
        several.run(texts([3, 9]), POOL)
    several.run_each([(texts([3]), POOL), (texts([4]), POOL)])
    assert [engine.calls for engine in engines] == [[2, 2], [2, 2], [2]]


def test_an_error_of_one_engine_is_the_error_of_the_call(engines):
    def fail():
        raise DeviceError("cuda:1 has too little memory")

    engines[1].before = fail
    with pytest.raises(DeviceError, match="cuda:1"):
        SeveralDevices(engines, 8).run(texts([3, 9, 4, 1, 12]), POOL)


def test_what_an_engine_says_of_itself(engines):
    several = SeveralDevices(engines, 8)
    assert (several.name, several.dtype, several.device) == ("torch", "float32", "cuda:0,cuda:1,cuda:2")
    assert several.tokens_per_call == 3 * engines[0].tokens_per_call
    assert repr(several) == f"SeveralDevices({engines[0]!r}, {engines[1]!r}, {engines[2]!r})"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 9))
def test_every_text_is_dealt_once_and_no_hand_has_much_more_than_another(lengths, hands):
    dealt = deal(np.array(lengths, dtype=np.int32), hands)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(len(lengths)))
    assert all(len(hand) and (np.diff(hand) > 0).all() for hand in dealt)
    assert len(dealt) == min(hands, len(lengths))
    totals = [sum(lengths[text] for text in hand.tolist()) for hand in dealt]
    assert max(totals) - min(totals) <= max(lengths)
