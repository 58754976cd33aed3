"""Compares the Triton kernels with formulas in float64, and with the lines of PyTorch that define them.

On a machine without a GPU, Triton's interpreter runs them on the CPU.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pellucid.engines.torch.ops import DeviceNorm, EmbeddingTables, Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.spec import FeedForwardSpec
from pellucid.types import TokenBatch

pytest.importorskip("triton")
from pellucid.engines.torch.kernels import FusedOps

pytestmark = pytest.mark.usefixtures("as_on_a_gpu")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SIZES = [1, 30, 384, 2050]
ROWS = [0, 1, 7]
EPS = 1e-7
FUSED, PLAIN = FusedOps(), Ops()


@pytest.fixture(params=DTYPES)
def dtype(request):
    return DTYPES[request.param]


def draw(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * 2).to(DEVICE, dtype)


def exact(x):
    return x.double().cpu().numpy()


def assert_rounded_once(found, truth):
    """Each number is the true one, computed in float32 and rounded once to the dtype: to the nearest number.

    Triton's interpreter is wrong in that: it cuts off the bits that bfloat16 does not have.
    """
    assert tuple(found.shape) == truth.shape
    if truth.size:
        _, exponents = np.frexp(truth)
        ulps = np.ldexp(torch.finfo(found.dtype).eps, exponents - 1)
        errors = np.abs(exact(found) - truth)
        assert (
            errors
            <= ulps * (1 if found.dtype == torch.bfloat16 and DEVICE == "cpu" else 0.5)
            + 3e-6 * np.maximum(1, np.abs(truth))
        ).all(), (errors / ulps).max()


def assert_close(found, plain, ulps):
    """Each number is within so many units in the last place of the largest number of what PyTorch's lines give."""
    assert found.dtype == plain.dtype
    assert found.shape == plain.shape
    if found.numel():
        unit = torch.finfo(found.dtype).eps * float(plain.abs().max().double())
        assert float((found.double() - plain.double()).abs().max()) <= ulps * unit


def norm_of(size, dtype):
    return DeviceNorm((draw(size, dtype=dtype, seed=1), draw(size, dtype=dtype, seed=2)), EPS)


def layer_norm(x, norm):
    weight, bias = map(exact, norm.affine)
    centered = x - x.mean(axis=1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + EPS) * weight + bias


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rows", ROWS)
def test_add_and_normalize(dtype, rows, size):
    x, y, norm = draw(rows, size, dtype=dtype), draw(rows, size, dtype=dtype, seed=3), norm_of(size, dtype)
    found = FUSED.add_norm(x, y, norm)
    assert_rounded_once(found, layer_norm(exact(x) + exact(y), norm))
    if size > 1:  # PyTorch rounds the sum too. Of a single number, the norm leaves only that rounding.
        assert_close(found, PLAIN.add_norm(x, y, norm), 4)


def test_add_without_a_norm(dtype):
    x, y = draw(3, 30, dtype=dtype), draw(3, 30, dtype=dtype, seed=3)
    assert torch.equal(FUSED.add_norm(x, y, DeviceNorm(None)), x + y)


@pytest.mark.parametrize("size", [1, 30, 384])
@pytest.mark.parametrize("rows", [0, 7])
@pytest.mark.parametrize("parts", ["word", "word position", "word type", "word position segments"])
@pytest.mark.parametrize("has_norm", [True, False])
def test_embed(dtype, rows, size, parts, has_norm):
    word, position, token_type = (draw(count, size, dtype=dtype, seed=count) for count in (50, 20, 2))
    has_types = "type" in parts or "segments" in parts
    tables = EmbeddingTables(word, position if "position" in parts else None, token_type if has_types else None)
    generator = np.random.default_rng(0)
    ids, positions, segments = (generator.integers(0, count, rows) for count in (50, 20, 2))
    norm = norm_of(size, dtype) if has_norm else DeviceNorm(None)
    indices = [torch.from_numpy(each).to(DEVICE) for each in (ids, positions, segments)]
    inputs = tables, norm, indices[0], indices[1], indices[2] if "segments" in parts else None
    truth = exact(word)[ids]
    if "position" in parts:
        truth = truth + exact(position)[positions]
    if has_types:
        truth = truth + exact(token_type)[segments if "segments" in parts else 0]
    found = FUSED.embed(*inputs)
    assert_rounded_once(found, layer_norm(truth, norm) if has_norm else truth)
    if size > 1:
        assert_close(found, PLAIN.embed(*inputs), 4)


TRUTHS = {
    "gelu": lambda x: x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
"""``tanh`` is not fused. In all models, a feed-forward has one of the others."""


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("size", [30, 1025])
@pytest.mark.parametrize("activation", TRUTHS)
@pytest.mark.parametrize("gated", [True, False])
def test_activate(dtype, rows, size, activation, gated):
    inner = draw(rows, size * (2 if gated else 1), dtype=dtype) * 3
    spec = FeedForwardSpec(size=size, activation=activation, gated=gated)
    x = exact(inner)
    truth = TRUTHS[activation](x[:, :size]) * x[:, size:] if gated else TRUTHS[activation](x)
    plain = PLAIN.activate(inner.clone(), spec)
    found = FUSED.activate(inner.clone(), spec)
    assert_close(found, plain, 2)
    if activation in TRUTHS.keys() - {"tanh"}:
        assert_rounded_once(found, truth)


@pytest.mark.parametrize("activation", TRUTHS)
def test_large_numbers_are_activated_as_pytorch_does(activation):
    inner = torch.tensor([[0.0, -0.0, 1e30, -1e30, 100.0, -100.0, math.nan]], device=DEVICE)
    spec = FeedForwardSpec(size=7, activation=activation, gated=False)
    plain = PLAIN.activate(inner.clone(), spec)
    torch.testing.assert_close(FUSED.activate(inner, spec), plain, equal_nan=True)


@pytest.mark.parametrize("tokens", ROWS)
@pytest.mark.parametrize(("heads", "count", "head_size"), [(3, 2, 2), (9, 6, 12), (36, 24, 64)])
def test_rotate(dtype, tokens, heads, count, head_size):
    stacked = draw(tokens, heads, head_size, dtype=dtype)
    angles = draw(40, head_size // 2, seed=5)
    turns = angles.cos(), angles.sin()
    positions = torch.from_numpy(np.random.default_rng(0).integers(0, 40, tokens)).to(DEVICE)
    truth = exact(stacked)
    first, second = np.split(truth[:, :count].copy(), 2, axis=-1)
    cos, sin = (exact(table)[positions.cpu().numpy()][:, None] for table in turns)
    truth[:, :count] = np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    found, plain = stacked.clone(), stacked.clone()
    FUSED.rotate(found, count, turns, positions)
    PLAIN.rotate(plain, count, turns, positions)
    assert_rounded_once(found, truth)
    assert_close(found, plain, 1)
    assert torch.equal(found[:, count:], stacked[:, count:])


@pytest.mark.parametrize("lengths", [[1], [5, 2, 1, 70]])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("normalized", [True, False])
def test_mean(dtype, lengths, size, skip, normalized):
    step = DeviceBatch.of(TokenBatch.from_sequences([[1] * length for length in lengths]), DEVICE)
    states = draw(sum(lengths), size, dtype=dtype)
    texts = np.split(exact(states), np.cumsum(lengths)[:-1])
    truth = np.stack([text[skip:].mean(axis=0) if len(text) > skip else np.zeros(size) for text in texts])
    if normalized:
        truth = truth / np.maximum(np.linalg.norm(truth, axis=1, keepdims=True), 1e-12)
    found = FUSED.mean(states, step, skip, normalized=normalized)
    assert found.dtype == torch.float32
    assert_rounded_once(found, truth)
    assert_close(found, PLAIN.mean(states, step, skip, normalized=normalized), 16)


def test_a_mean_whose_norm_does_not_fit_becomes_nan():
    step = DeviceBatch.of(TokenBatch.from_sequences([[1], [1]]), DEVICE)
    states = torch.tensor([[1e30, 1.0], [3.0, 4.0]], device=DEVICE)
    for ops in (FUSED, PLAIN):
        found = ops.mean(states, step, 0, normalized=True)
        assert found[0].isnan().all()
        np.testing.assert_allclose(found[1].cpu().numpy(), [0.6, 0.8], rtol=1e-6)


def test_a_mean_does_not_depend_on_the_other_texts(dtype):
    texts = [[1] * length for length in (13, 5, 40)]
    states = draw(58, 384, dtype=dtype)
    together = FUSED.mean(states, DeviceBatch.of(TokenBatch.from_sequences(texts), DEVICE), 0)
    alone = FUSED.mean(states[13:18], DeviceBatch.of(TokenBatch.from_sequences(texts[1:2]), DEVICE), 0)
    assert torch.equal(alone[0], together[1])
