"""Compares the forward pass for GPUs with the reference engine, for what decoders have and encoders have not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid.engines.reference import ReferenceEngine
from pellucid.engines.torch import attention, ragged
from pellucid.engines.torch.ops import Ops
from pellucid.engines.torch.steps import DeviceBatch
from tests.engines.test_native import make_batch, make_weights
from tests.engines.test_native_decoders import DECODERS
from tests.reference.test_torch_ragged import KERNELS


@pytest.fixture(params=DECODERS.values(), ids=DECODERS)
def spec(request):
    return request.param


@pytest.fixture
def weights(spec):
    return make_weights(spec)


@pytest.fixture
def encoder(spec, weights):
    return ragged.RaggedEncoder(spec, weights, "cpu", torch.float32, Ops())


def check(encoder, spec, weights):
    for lengths in ([1, 2, 17, 33, 40, 5], [12, 12, 12], [7]):
        batch = make_batch(lengths)
        states = encoder.states(DeviceBatch.of(batch, "cpu")).numpy()
        np.testing.assert_allclose(states, ReferenceEngine(spec, weights).token_vectors(batch), atol=2e-5)


def test_padded_attention(encoder, spec, weights):
    check(encoder, spec, weights)


@pytest.mark.parametrize("version", KERNELS)
def test_attention_on_texts_end_to_end(encoder, spec, weights, version):
    if spec.relative_bias:
        pytest.skip("FlashAttention adds nothing to the scores")
    attentions = [block.attention for block in spec.blocks]
    needs = {"window_size"} if any(each.has_window for each in attentions) else set()
    needs |= {"scale"} if any(each.scale is not None for each in attentions) else set()
    attend = attention.end_to_end_attention(KERNELS[version], needs)
    if version == "2.10":
        assert (attend is None) == bool(needs)
    if attend is None:
        return
    encoder._attention = attend
    check(encoder, spec, weights)
