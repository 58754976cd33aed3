"""What the torch engine computes on the device after the token vectors, compared with the finishes' own NumPy lines."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from pellucid import Embedder
from pellucid.engines.torch.modules import DeviceModules, apply_modules
from pellucid.layers.activations import ACTIVATIONS
from pellucid.layers.dense import Dense
from pellucid.layers.finish import EachToken, Pool, Several
from pellucid.layers.norms import LayerNorm, Normalize
from pellucid.layers.pooling import Pooling
from pellucid.layers.token_mask import TokenMask
from pellucid.layers.token_pooling import TokenPooling
from pellucid.layers.vocabulary import AutoEncoder, SparseCode, SparseFinish
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import MultiVectors, TokenBatch
from tests import tiny

CLOSE = {"rtol": 0, "atol": 2e-6}
RANDOM = np.random.default_rng(0)
BATCHES = {
    "some texts without tokens": TokenBatch.from_sequences([[], [2, 5, 6], [], [7], [1, 1, 4, 5]]),
    "one text": TokenBatch.from_sequences([[2, 5, 6]]),
    "no tokens at all": TokenBatch.from_sequences([[], []]),
    "no texts": TokenBatch.from_sequences([]),
}


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


DENSE = Dense(numbers(6, tiny.HIDDEN), numbers(6), "tanh")
MODULES = {
    "dense": (DENSE,),
    "dense without a bias": (Dense(numbers(6, tiny.HIDDEN), None, "identity"),),
    "residual": (Dense(numbers(tiny.HIDDEN, tiny.HIDDEN), numbers(tiny.HIDDEN), "gelu", use_residual=True),),
    "residual with a matrix": (
        Dense(numbers(6, tiny.HIDDEN), numbers(6), "relu", use_residual=True, residual=numbers(6, tiny.HIDDEN)),
    ),
    "norms": (LayerNorm(numbers(tiny.HIDDEN), numbers(tiny.HIDDEN), 1e-3), Normalize()),
    "several": (DENSE, LayerNorm(numbers(6), numbers(6)), Normalize()),
}


@pytest.fixture(scope="module")
def engine(tiny_bert):
    engine = Embedder(tiny_bert, engine="torch").engine
    engine._encoder.min_length_ratio = 0.0
    return engine


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("truncate_dim", [None, 3])
@pytest.mark.parametrize("normalize", [None, True, False])
@pytest.mark.parametrize("modules", MODULES.values(), ids=MODULES)
def test_pooled_vectors(engine, modules, normalize, truncate_dim, batch):
    finish = Pool(Pooling(("mean",)), modules, normalize=normalize, truncate_dim=truncate_dim)
    expected = finish(engine.token_vectors(batch), batch)
    result = engine.run(batch, finish)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, **CLOSE)


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("modules", [(), *MODULES.values()], ids=["none", *MODULES])
def test_a_vector_for_each_token(engine, modules, batch):
    finish = EachToken(modules)
    expected = finish(engine.token_vectors(batch), batch)
    result = engine.run(batch, finish)
    assert result.offsets.tolist() == expected.offsets.tolist()
    np.testing.assert_allclose(result.vectors, expected.vectors, **CLOSE)


class Sums(SparseFinish):
    """The first numbers of a text's token vectors, added up."""

    def __call__(self, vectors, tokens):
        sums = np.zeros((len(tokens), 3), dtype=np.float32)
        np.add.at(sums, np.repeat(np.arange(len(tokens)), tokens.lengths), vectors[:, :3])
        return SparseVectors.from_dense(sums)


CODES = AutoEncoder(numbers(tiny.HIDDEN), numbers(20, tiny.HIDDEN), numbers(20), kept=4)
MASK = TokenMask(skipped=(5,), first=1)
FINISHES = {
    "pool": Pool(Pooling(("mean",)), MODULES["several"]),
    "each token, masked": EachToken(MODULES["several"], MASK),
    "each token, merged": EachToken((), MASK, TokenPooling(2.0)),
    "several": Several((Pool(Pooling(("cls",))), EachToken((DENSE,), MASK))),
    "sparse code": SparseCode(Pool(Pooling(("mean",))), CODES),
    "one that the engine does not know": Sums(),
}


def arrays(result):
    """The arrays that a result is made of."""
    if isinstance(result, tuple):
        return [array for part in result for array in arrays(part)]
    if isinstance(result, SparseVectors):
        return [result.to_dense()]
    return [result.vectors, result.offsets] if isinstance(result, MultiVectors) else [result]


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("finish", FINISHES.values(), ids=FINISHES)
def test_every_finish(engine, finish, batch):
    results = engine.run(batch, finish), finish(engine.token_vectors(batch), batch)
    for ours, expected in zip(*map(arrays, results), strict=True):
        np.testing.assert_allclose(ours, expected, **CLOSE)


def test_a_module_that_the_device_does_not_have(engine):
    def half(vectors):
        return vectors / 2

    batch = BATCHES["some texts without tokens"]
    whole, halved = (engine.run(batch, Pool(Pooling(("mean",)), modules)) for modules in ((DENSE,), (DENSE, half)))
    np.testing.assert_allclose(halved, whole / 2, **CLOSE)


@pytest.mark.parametrize("steps_ahead", [0, 1, 4, 100])
@pytest.mark.parametrize("finish", [Pool(Pooling(("mean",))), EachToken()], ids=["pool", "each token"])
def test_results_that_wait_for_later_steps_stay_with_their_texts(engine, finish, steps_ahead, monkeypatch):
    lengths = RANDOM.permutation(40)
    batch = TokenBatch.from_sequences([RANDOM.integers(1, 20, length) for length in lengths])
    expected = finish(engine.token_vectors(batch), batch)
    monkeypatch.setattr(engine, "tokens_per_step", 64)  # At least one step for each 64 tokens.
    monkeypatch.setattr(engine, "_steps_ahead", steps_ahead)
    result = engine.run(batch, finish)
    np.testing.assert_allclose(getattr(result, "vectors", result), getattr(expected, "vectors", expected), **CLOSE)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_a_dense_layer(name):
    vectors, dense = numbers(5, 4), Dense(numbers(3, 4), numbers(3), name)
    copies = DeviceModules("cpu").copy([dense])
    np.testing.assert_allclose(apply_modules(copies, torch.from_numpy(vectors)).numpy(), dense(vectors), **CLOSE)


def test_vectors_whose_length_does_not_fit_become_nan_and_zeros_stay_zeros():
    vectors = np.array([[1e30, 1e30], [0, 0], [3, 4], [np.nan, 1], [np.inf, 1]], dtype=np.float32)
    copies = DeviceModules("cpu").copy([Normalize()])
    expected = [[np.nan] * 2, [0, 0], [0.6, 0.8], [np.nan] * 2, [np.nan] * 2]
    np.testing.assert_allclose(apply_modules(copies, torch.from_numpy(vectors)).numpy(), expected, rtol=1e-6)


def test_a_copy_is_made_once_and_goes_with_its_module():
    modules, dense = DeviceModules("cpu"), Dense(numbers(3, 4), None, "tanh")
    first, second = modules.copy([dense]), modules.copy([dense])
    assert first[0] is second[0]
    del dense
    gc.collect()
    assert len(modules._copies) == 0
