"""The torch engine on a GPU, compared with the reference engine. Skipped on a machine without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid import Embedder
from pellucid.layers.finish import EachToken
from tests import tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
TEXTS = [*tiny.TEXTS, "the cat " * 30] * 5


@pytest.fixture
def folder(family, tmp_path):
    return tiny.write_model(tmp_path / "m", family, modules=["Pooling", "Dense", "LayerNorm", "Normalize"])


def embedder(folder, **options):
    return Embedder(folder, on_truncation="cut", **options)


@pytest.mark.parametrize("tokens_per_step", [1, 64, 65_536])
def test_float32(folder, tokens_per_step):
    ours, reference = embedder(folder, device="cuda"), embedder(folder, engine="reference")
    ours.engine.tokens_per_step = tokens_per_step
    np.testing.assert_allclose(ours.embed_documents(TEXTS), reference.embed_documents(TEXTS), atol=1e-5)
    tokens, _ = ours.tokenizer.tokenize(TEXTS)
    expected = reference.engine.run(tokens, EachToken())
    np.testing.assert_allclose(ours.engine.run(tokens, EachToken()).vectors, expected.vectors, atol=1e-4)


def test_triton_works_here(folder):
    pytest.importorskip("triton")
    assert repr(embedder(folder, device="cuda").engine).endswith("fused=True)")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(folder, dtype):
    ours, reference = embedder(folder, device="cuda", dtype=dtype), embedder(folder, engine="reference")
    cosines = (ours.embed_documents(TEXTS) * reference.embed_documents(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99


def test_all_gpus_together(folder):
    ours, reference = embedder(folder, device="cuda:*"), embedder(folder, engine="reference")
    if torch.cuda.device_count() > 1:
        ours.engine._min_tokens = 0
    np.testing.assert_allclose(ours.embed_documents(TEXTS), reference.embed_documents(TEXTS), atol=1e-5)


def test_a_real_model(minilm):
    expected = minilm.embed_documents(TEXTS)
    half = embedder(minilm.files.folder, device="cuda", dtype="float16").embed_documents(TEXTS)
    assert (half * expected).sum(axis=1).min() > 0.999
