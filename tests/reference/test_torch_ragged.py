"""Compares the forward pass for GPUs with sentence-transformers and with the reference engine, on the CPU.

PyTorch's ``varlen_attn`` needs CUDA. Here, a function that does what its documentation says takes its place.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from pellucid import Embedder
from pellucid.engines.reference import ReferenceEngine
from pellucid.engines.torch import attention, ragged
from pellucid.engines.torch.engine import TorchEngine
from pellucid.engines.torch.ops import ACTIVATIONS as DEVICE_ACTIVATIONS
from pellucid.engines.torch.ops import Ops
from pellucid.engines.torch.steps import DeviceBatch
from pellucid.layers.activations import ACTIVATIONS
from pellucid.layers.finish import Pool
from pellucid.layers.pooling import MODES, Pooling, pool
from pellucid.model.load import load_weights
from pellucid.types import TokenBatch
from tests import tiny
from tests.reference.conftest import encode_alone, load_reference
from tests.reference.texts import SCRIPTS, docstrings

CLOSE = {"rtol": 0, "atol": 2e-6}


def ragged_embedder(folder, dtype="float32"):
    """An embedder that computes as on a GPU: steps have texts of any lengths, and only the attention sees padding."""
    embedder = Embedder(folder, engine="torch", dtype=dtype, on_truncation="ignore")
    weights = load_weights(embedder.files, embedder.spec)
    embedder.engine._encoder = ragged.RaggedEncoder(embedder.spec.encoder, weights, "cpu", getattr(torch, dtype), Ops())
    embedder.engine.tokens_per_call = 1 << 22
    return embedder


@pytest.fixture
def embedder(family, tmp_path):
    return ragged_embedder(tiny.write_model(tmp_path / "m", family, modules=["Pooling", "Normalize"]))


def batches(embedder):
    """Batches with texts of many lengths, texts of one length, one text, texts without tokens, and both segments."""
    tokens, _ = embedder.tokenizer.tokenize([*tiny.TEXTS, "the cat " * 30])
    yield tokens
    yield TokenBatch.from_sequences([[2, 5, 6], [7, 8, 9], [1, 1, 4]])
    yield TokenBatch.from_sequences([[2, 5, 6]])
    yield TokenBatch.from_sequences([[2], [], [5, 6, 7], []])
    if embedder.spec.encoder.embedding.token_types > 1:
        yield TokenBatch(tokens.ids, tokens.offsets, (np.arange(len(tokens.ids)) % 3 == 0).astype(np.int8))


def test_the_vectors_match_sentence_transformers(embedder):
    theirs = load_reference(embedder.files.folder)
    np.testing.assert_allclose(embedder.embed_documents(tiny.TEXTS), encode_alone(theirs, tiny.TEXTS), **CLOSE)


@pytest.mark.parametrize("min_length_ratio", [0.0, 0.5, 1.0])
def test_the_vectors_match_the_reference_engine(embedder, min_length_ratio):
    embedder.engine._encoder.min_length_ratio = min_length_ratio
    reference = ReferenceEngine(embedder.spec.encoder, load_weights(embedder.files, embedder.spec))
    for tokens in batches(embedder):
        expected = reference.token_vectors(tokens)
        np.testing.assert_allclose(embedder.engine.token_vectors(tokens), expected, atol=1e-5)


@pytest.mark.parametrize("skip", [0, 1, 3])
def test_pooling_gives_what_pool_gives(embedder, skip):
    pooling = Pooling(tuple(MODES), include_prompt=False)
    for tokens in batches(embedder):
        expected = pool(embedder.engine.token_vectors(tokens), tokens.offsets, pooling, skip)
        np.testing.assert_allclose(
            embedder.engine.run(tokens, Pool(pooling, prompt_tokens=skip)), expected, rtol=1e-6, atol=2e-6
        )


@pytest.mark.parametrize("name", ["minilm", "mpnet"])
def test_the_real_models(name, request):
    theirs = request.getfixturevalue(f"reference_{name}")
    folder = request.getfixturevalue(name).files.folder
    texts = [*docstrings()[:60], *SCRIPTS, "", "word " * 100]
    expected = encode_alone(theirs, texts)
    np.testing.assert_allclose(ragged_embedder(folder).embed_documents(texts), expected, **CLOSE)
    half = ragged_embedder(folder, "bfloat16").embed_documents(texts)
    assert (half * expected).sum(axis=1).min() > 0.999


def documented_attention(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, window_size=(-1, -1), scale=None):
    """Computes what the documentation of ``varlen_attn`` says, text by text."""
    assert (max_q, max_k) == (int(cu_seq_q.diff().max()), int(cu_seq_k.diff().max()))
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert query.shape == key.shape == value.shape
    result = torch.empty_like(value)
    for start, end in zip(cu_seq_q[:-1].tolist(), cu_seq_q[1:].tolist(), strict=True):
        q, k, v = (x[start:end].transpose(0, 1) for x in (query, key, value))
        scores = q @ k.transpose(1, 2) * (q.shape[-1] ** -0.5 if scale is None else scale)
        positions = torch.arange(end - start)
        left, right = window_size
        distance = positions[None, :] - positions[:, None]
        if left >= 0:
            scores = scores.masked_fill(distance < -left, -torch.inf)
        if right >= 0:
            scores = scores.masked_fill(distance > right, -torch.inf)
        result[start:end] = (scores.softmax(dim=-1) @ v).transpose(0, 1)
    return result


def varlen_attn_2_10(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):
    assert not is_causal
    assert return_aux is None
    return documented_attention(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k)


def varlen_attn_2_11(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, return_aux=None, scale=None, window_size=(-1, -1)
):
    assert return_aux is None
    return documented_attention(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, window_size, scale)


def varlen_attn_2_12(
    query,
    key,
    value,
    cu_seq_q,
    cu_seq_k,
    max_q,
    max_k,
    *,
    return_aux=None,
    scale=None,
    window_size=(-1, -1),
    enable_gqa=False,
    seqused_k=None,
    block_table=None,
    num_splits=None,
):
    assert num_splits == 1
    assert return_aux is seqused_k is block_table is None
    assert not enable_gqa
    return documented_attention(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, window_size, scale)


KERNELS = {"2.10": varlen_attn_2_10, "2.11": varlen_attn_2_11, "2.12": varlen_attn_2_12}
"""Kernels with the parameters of ``varlen_attn`` in these versions of PyTorch. 2.13 has those of 2.12."""


@pytest.mark.parametrize("version", KERNELS)
def test_attention_on_texts_end_to_end(embedder, version):
    spec = embedder.spec.encoder
    if spec.relative_bias or spec.disentangled:
        pytest.skip("FlashAttention adds nothing to the scores")
    has_windows = any(block.attention.has_window for block in spec.blocks)
    attend = attention.end_to_end_attention(KERNELS[version], {"window_size"} if has_windows else set())
    if has_windows and version == "2.10":
        assert attend is None
        return
    encoder = embedder.engine._encoder
    padded = encoder._attention
    for tokens in batches(embedder):
        encoder._attention = padded
        expected = embedder.engine.token_vectors(tokens)
        encoder._attention = attend
        np.testing.assert_allclose(embedder.engine.token_vectors(tokens), expected, atol=1e-5)


def test_pytorch_has_a_kernel_with_these_parameters():
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    theirs = {name: each.kind for name, each in inspect.signature(varlen.varlen_attn).parameters.items()}
    known = [{name: each.kind for name, each in inspect.signature(f).parameters.items()} for f in KERNELS.values()]
    assert theirs in known


def test_the_kernel_is_for_gpus_in_half_precision(embedder):
    assert not attention.takes_half_precision(embedder.spec.encoder, "cpu", torch.float16)
    assert not attention.takes_half_precision(embedder.spec.encoder, "cuda", torch.float32)


def test_every_activation_is_supported():
    assert set(DEVICE_ACTIVATIONS) == set(ACTIVATIONS)
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    for name, activation in DEVICE_ACTIVATIONS.items():
        np.testing.assert_allclose(activation(torch.from_numpy(x)), ACTIVATIONS[name](x), atol=1e-6)


def test_a_gpu_uses_this_encoder_for_pellucids_families(tiny_bert):
    """PyTorch's "meta" device takes the place of a GPU. It has shapes but no numbers."""
    embedder = Embedder(tiny_bert)
    engine = TorchEngine(
        embedder.spec.encoder,
        lambda: load_weights(embedder.files, embedder.spec),
        embedder.files.folder,
        device="meta",
        dtype="float16",
    )
    assert isinstance(engine._encoder, ragged.RaggedEncoder)
    tokens, _ = embedder.tokenizer.tokenize(tiny.TEXTS)
    states = engine._encoder.states(DeviceBatch.of(tokens, "meta"))
    assert states.shape == (len(tokens.ids), tiny.HIDDEN)
    assert states.device.type == "meta"


def test_a_step_can_be_laid_out_side_by_side_and_end_to_end():
    step = DeviceBatch.of(TokenBatch.from_sequences([[1, 2, 3], [4], [5, 6]]), "cpu")
    assert step.side_by_side(step.ids).tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]]
    assert step.end_to_end(step.side_by_side(step.ids)).tolist() == [1, 2, 3, 4, 5, 6]
    assert step.is_token.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
