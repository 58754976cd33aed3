from __future__ import annotations

import numpy as np
import pytest

from pellucid.engines.base import Engine
from pellucid.engines.native import NativeEngine
from pellucid.layers.finish import EachToken, Pool
from pellucid.layers.pooling import Pooling
from pellucid.types import MultiVectors
from tests.engines.test_native import make_batch, make_spec, make_weights

FIRST, LAST, MEAN = (Pool(Pooling((mode,))) for mode in ("cls", "lasttoken", "mean"))


class PlainEngine(Engine):
    """An engine that says no more than it must."""

    name = "plain"

    def __init__(self, spec) -> None:
        self.spec = spec

    def token_vectors(self, batch):
        return np.outer(batch.ids, np.arange(1, self.spec.hidden_size + 1)).astype(np.float32)


@pytest.fixture(scope="module", params=["plain", "native"])
def engine(request):
    spec = make_spec()
    return PlainEngine(spec) if request.param == "plain" else NativeEngine(spec, make_weights(spec), threads=1)


@pytest.mark.parametrize("finish", [FIRST, LAST, MEAN], ids=["first", "last", "mean"])
@pytest.mark.parametrize("lengths", [[3], [5, 1, 40], [2, 0, 7], []])
def test_a_finish_that_needs_one_token_gets_what_it_gets_from_all(engine, finish, lengths):
    batch = make_batch(lengths)
    expected = finish(engine.token_vectors(batch), batch)
    np.testing.assert_array_equal(engine.run(batch, finish), expected)


@pytest.mark.parametrize("finishes", [[FIRST, LAST], [FIRST, MEAN, LAST], [EachToken(), FIRST], [MEAN]])
def test_requests_together_get_what_they_get_alone(engine, finishes):
    batches = [make_batch([4, 9, 1], seed) for seed in range(len(finishes))]
    results = engine.run_each(list(zip(batches, finishes, strict=True)))
    for batch, finish, result in zip(batches, finishes, results, strict=True):
        both = (result, engine.run(batch, finish))
        np.testing.assert_array_equal(*(one.vectors if isinstance(one, MultiVectors) else one for one in both))


def test_only_what_all_requests_need_is_computed(engine, monkeypatch):
    batches = [make_batch([4, 9]), make_batch([7])]
    shapes = []
    compute = type(engine).wanted_vectors
    monkeypatch.setattr(
        type(engine), "wanted_vectors", lambda self, *args: shapes.append(len(args[0])) or compute(self, *args)
    )
    engine.run_each([(batches[0], FIRST), (batches[1], LAST)])
    engine.run_each([(batches[0], FIRST), (batches[1], MEAN)])
    assert shapes == [3]
