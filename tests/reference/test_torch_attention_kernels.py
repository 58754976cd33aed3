"""Compares our attention kernel with the formulas, text by text in float64.

On a machine without a GPU, Triton's interpreter runs it on the CPU.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pellucid.engines.reference import ReferenceEngine
from pellucid.engines.torch.attention import Distances
from pellucid.engines.torch.ragged import distances
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.model.load import load_weights
from pellucid.types import TokenBatch
from tests import tiny
from tests.reference.test_torch_ragged import ragged_embedder

pytest.importorskip("triton")
from pellucid.engines.torch.attention_kernels import KernelAttention
from pellucid.engines.torch.kernels import FusedOps

pytestmark = pytest.mark.usefixtures("as_on_a_gpu")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MAX_TOKENS, HEADS, PLACES = 80, 2, 10
CASES = [
    (torch.float16, 24, 6e-3),
    # On a GPU, the kernel is for half precision. Triton's interpreter takes the bits of bfloat16 for whole numbers.
    (torch.bfloat16, 24, 5e-2) if DEVICE == "cuda" else (torch.float32, 4, 5e-6),
]
"""The dtype, the head size, and how far off a number may be. Half precision rounds the products with relative
positions, the weights after the softmax, and the result."""


def draw(*shape, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(DEVICE, dtype)


def exact(x):
    return None if x is None else x.double().cpu().numpy()


def attention(query, key, value, bias, reach, numbers, place_keys, place_queries):
    """The attention of one head of one text; of DeBERTa, equation 4 of He et al. (2021)."""
    n, size = query.shape
    scores, terms = query @ key.T, 1
    rows, columns = np.arange(n)[:, None], np.arange(n)[None, :]
    place = numbers[rows - columns + MAX_TOKENS - 1]
    if place_keys is not None:
        scores, terms = scores + (query @ place_keys.T)[rows, place], terms + 1
    if place_queries is not None:
        scores, terms = scores + (key @ place_queries.T)[columns, place], terms + 1
    scores = scores / np.sqrt(size * terms)
    if bias is not None:
        scores = scores + bias[columns - rows + MAX_TOKENS - 1]
    before, after = reach
    is_seen = np.ones_like(scores, dtype=bool) if before is None else columns >= rows - before
    if after is not None:
        is_seen = is_seen & (columns <= rows + after)
    scores = np.where(is_seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ value


KINDS = {
    "plain": {},
    "window": {"reach": (3, 3)},
    "wide window": {"reach": (75, 75)},
    "causal": {"reach": (None, 0)},
    "causal window": {"reach": (20, 0)},
    "bias": {"bias": True},
    "bias and window": {"bias": True, "reach": (20, 20)},
    "places": {"keys": True, "queries": True},
    "places of keys": {"keys": True},
    "places of queries": {"queries": True},
}


@pytest.mark.parametrize(("dtype", "size", "tolerance"), CASES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[1], [3, 70, 1]], ids=str)
def test_the_formulas(dtype, size, tolerance, kind, lengths):
    has = KINDS[kind]
    stacked = draw(sum(lengths), 3 * HEADS, size, dtype=dtype, seed=0)
    query, key, value = stacked.split(HEADS, dim=1)
    bias = draw(HEADS, 2 * MAX_TOKENS - 1, dtype=dtype, seed=1) if "bias" in has else None
    place_keys, place_queries = (
        draw(HEADS, PLACES, size, dtype=dtype, seed=seed) if name in has else None
        for seed, name in ((2, "keys"), (3, "queries"))
    )
    numbers = torch.from_numpy(np.random.default_rng(0).integers(0, PLACES, 2 * MAX_TOKENS - 1)).to(DEVICE)
    has_places = "keys" in has or "queries" in has
    before, after = has.get("reach", (None, None))
    layer = SimpleNamespace(
        spec=SimpleNamespace(attention=SimpleNamespace(before=before, after=after, scale=None)),
        place_keys=place_keys,
        place_queries=place_queries,
    )
    step = DeviceBatch.of(TokenBatch.from_sequences([[1] * length for length in lengths]), DEVICE)
    attend = KernelAttention(Distances(MAX_TOKENS, bias, numbers if has_places else None))(step)
    found = exact(attend(query, key, value, layer))
    ends = np.cumsum(lengths)
    for start, end in zip(ends - lengths, ends, strict=True):
        for head in range(HEADS):
            inputs = (exact(x)[start:end, head] for x in (query, key, value))
            of_head = (None if x is None else exact(x)[head] for x in (place_keys, place_queries))
            expected = attention(
                *inputs, None if bias is None else exact(bias)[head], (before, after), numbers.cpu().numpy(), *of_head
            )
            np.testing.assert_allclose(found[start:end, head], expected, rtol=0, atol=tolerance)


@pytest.mark.skipif(DEVICE == "cuda", reason="test_torch_gpu.py runs whole models on a GPU")
def test_whole_models(family, tmp_path):
    embedder = ragged_embedder(tiny.write_model(tmp_path / "m", family, modules=["Pooling", "Normalize"]))
    spec, weights = embedder.spec.encoder, load_weights(embedder.files, embedder.spec)
    engine, encoder = embedder.engine, embedder.engine._encoder
    engine._ops = encoder._ops = FusedOps()
    encoder._attention = KernelAttention(distances(spec, weights, "cpu", torch.float32))
    tokens, _ = embedder.tokenizer.tokenize([*tiny.TEXTS[:3], "the cat " * 30])
    expected = ReferenceEngine(spec, weights).token_vectors(tokens)
    np.testing.assert_allclose(engine.token_vectors(tokens), expected, atol=1e-5)
    alone = [embedder.embed_query(text) for text in tiny.TEXTS[:3]]
    np.testing.assert_allclose(alone, embedder.embed_documents(tiny.TEXTS[:3]), atol=1e-6)
