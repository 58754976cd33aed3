"""The native engine of static models against the reference, which is NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import _native
from pellucid.engines import native
from pellucid.engines.reference import ReferenceEngine
from pellucid.engines.static import StaticEngine
from pellucid.errors import OptionError
from pellucid.layers.finish import EachToken, Pool
from pellucid.layers.norms import Normalize
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import NO_LIMIT, EmbeddingSpec, EncoderSpec
from pellucid.model.stored import TokenTable
from pellucid.model.weights import EncoderWeights
from pellucid.types import TokenBatch

VOCABULARY = 60
MEAN = Pool(Pooling(("mean",)), (Normalize(),))


def make(size=33, *, dtype="float32", shared=False, weighted=False, seed=0) -> tuple[EncoderSpec, TokenTable]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(9 if shared else VOCABULARY, size)) * (40 if dtype == "int8" else 1)
    if dtype == "bfloat16":
        stored = (rows.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    else:
        stored = rows.clip(-128, 127).astype(dtype)
    table = TokenTable(
        stored,
        rng.integers(0, 9, size=VOCABULARY).astype(np.int32) if shared else None,
        rng.normal(size=VOCABULARY).astype(np.float32) if weighted else None,
    )
    embedding = EmbeddingSpec(
        VOCABULARY, NO_LIMIT, None, position_table=False, rows=9 if shared else None, weighted=weighted
    )
    return EncoderSpec("static", size, embedding, ()), table


def reference(spec, table) -> ReferenceEngine:
    return ReferenceEngine(spec, EncoderWeights(table, None, None, None, None, ()))


def batch_of(lengths, seed=0) -> TokenBatch:
    rng = np.random.default_rng(seed)
    return TokenBatch.from_sequences([rng.integers(0, VOCABULARY, size=length) for length in lengths])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("size", [1, 32, 33, 70])
def test_vectors_are_those_of_the_reference(size, dtype, shared, weighted):
    spec, table = make(size, dtype=dtype, shared=shared, weighted=weighted)
    batch = batch_of([0, 1, 2, 30, 0, 300])
    for finish in (MEAN, replace(MEAN, normalize=False), replace(MEAN, truncate_dim=1), Pool(Pooling(("max", "cls")))):
        ours, theirs = (engine.run(batch, finish) for engine in (StaticEngine(spec, table), reference(spec, table)))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(1, 5))
def test_a_text_has_the_same_bits_alone_and_on_any_number_of_threads(lengths, threads):
    spec, table = make()
    batch = batch_of(lengths)
    together = StaticEngine(spec, table, threads=threads).run(batch, MEAN)
    alone = StaticEngine(spec, table, threads=1)
    for index in range(len(lengths)):
        np.testing.assert_array_equal(alone.run(batch.part(index, index + 1), MEAN)[0], together[index])


def test_token_vectors_are_the_rows():
    spec, table = make(weighted=True)
    batch = batch_of([3, 0, 2])
    engine = StaticEngine(spec, table)
    np.testing.assert_array_equal(engine.token_vectors(batch), table[batch.ids])
    each = engine.run(batch, EachToken())
    np.testing.assert_array_equal(each.vectors, table[batch.ids])


def test_each_request_has_its_own_finish():
    spec, table = make()
    engine = StaticEngine(spec, table)
    first, second = batch_of([3, 4]), batch_of([5])
    vectors, each = engine.run_each([(first, MEAN), (second, EachToken())])
    np.testing.assert_array_equal(vectors, engine.run(first, MEAN))
    assert len(each.vectors) == 5


def test_a_prompt_that_is_not_pooled_is_left_out():
    spec, table = make()
    finish = Pool(Pooling(("mean",), include_prompt=False), prompt_tokens=2)
    batch = batch_of([5])
    expected = table[batch.ids[2:]].mean(axis=0)
    np.testing.assert_allclose(StaticEngine(spec, table).run(batch, finish)[0], expected, atol=1e-6)


def test_the_native_engine_is_this_one_for_a_static_model(tmp_path):
    spec, table = make()
    weights = EncoderWeights(table, None, None, None, None, ())
    engine = native.create(spec, lambda: weights, tmp_path, dtype="float32", device="cpu", threads=3)
    assert isinstance(engine, StaticEngine)
    assert (engine.name, engine.dtype, engine.threads) == ("native", "float32", 3)


def test_too_many_threads_are_refused():
    with pytest.raises(OptionError, match="exceeds the limit of 16,384"):
        StaticEngine(*make(), threads=16_385)


def call(table=None, *, ids=(0, 1), offsets=(0, 2), out=(1, 33), threads=1):
    _, usual = make()
    core = _native.TokenTable(
        rows=(table or usual).rows, mapping=(table or usual).mapping, weights=(table or usual).weights
    )
    core.means(np.array(ids, np.int32), np.array(offsets, np.int32), np.empty(out, np.float32), threads, True)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"ids": (0, VOCABULARY)}, "a token id is out of range"),
        ({"ids": (0, -1)}, "a token id is out of range"),
        ({"offsets": (0, 3)}, "do not fit each other"),
        ({"offsets": (1, 2)}, "do not fit each other"),
        ({"offsets": ()}, "do not fit each other"),
        ({"offsets": (0, 2, 1, 2), "out": (3, 33)}, "the offsets must rise"),
        ({"out": (2, 33)}, "do not fit each other"),
        ({"out": (1, 32)}, "do not fit each other"),
        ({"threads": 0}, "there are no threads"),
    ],
)
def test_the_core_checks_what_it_gets(wrong, error):
    call()
    with pytest.raises(ValueError, match=error):
        call(**wrong)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"rows": np.zeros((3, 2))}, "must be float32, float16, bfloat16"),
        ({"mapping": np.array([0, 9], np.int32)}, "leads out of the table"),
        ({"mapping": np.array([-1], np.int32)}, "leads out of the table"),
        ({"weights": np.zeros(4, np.float32)}, "a weight for each token"),
    ],
)
def test_the_core_checks_its_table(wrong, error):
    with pytest.raises(ValueError, match=error):
        _native.TokenTable(**({"rows": np.zeros((3, 2), np.float32), "mapping": None, "weights": None} | wrong))
