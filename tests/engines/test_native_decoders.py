"""The native engine against the reference, for what decoders have and encoders have not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pellucid import _native
from pellucid.engines.dtypes import NATIVE_DTYPES as DTYPES
from pellucid.engines.native import NativeEngine
from pellucid.engines.reference import ReferenceEngine
from pellucid.layers.norms import normalize
from pellucid.layers.rotary import Llama3Scaling, Rotary, YarnScaling
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    EmbeddingSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormPlaces,
    NormSpec,
    RelativeBiasSpec,
)
from pellucid.model.stored import TokenTable
from pellucid.model.weights import EncoderWeights
from pellucid.types import TokenBatch
from tests.engines.test_native import VOCABULARY, lowest_cosine, make_batch, make_weights

RMS = NormSpec(1e-6, kind="rms", bias=False)
BEFORE, SANDWICH = NormPlaces(before=RMS), NormPlaces(before=RMS, after=RMS)
FULL, LOCAL = Rotary(1e6), Rotary(1e4)


def decoder(
    *attentions, hidden=48, inner=72, norms=BEFORE, activation="silu", gated=True, scale=1.0, relative_bias=None
):
    """The spec of a decoder with these attentions, one for each layer."""
    feed_forward = FeedForwardSpec(inner, activation, gated=gated, bias=False)
    return EncoderSpec(
        family="decoder",
        hidden_size=hidden,
        embedding=EmbeddingSpec(VOCABULARY, positions=4096, norm=None, position_table=False, scale=scale),
        blocks=tuple(BlockSpec(attention, feed_forward, norms, norms) for attention in attentions),
        final_norm=RMS,
        relative_bias=relative_bias,
    )


def attention(heads, head_size, kv_heads, *, after=0, rotary=FULL, **details):
    """A causal attention without biases, unless the details say otherwise."""
    return AttentionSpec(heads, head_size, kv_heads, bias=False, after=after, rotary=rotary, **details)


DECODERS = {
    "like Qwen3": decoder(*[attention(4, 16, 2, qk_norm=RMS)] * 3),
    "like Qwen2": decoder(*[replace(attention(6, 8, 1), bias=True, output_bias=False)] * 2),
    "like Llama 3": decoder(*[attention(4, 12, 4, rotary=Rotary(5e5, Llama3Scaling(8.0, 1.0, 4.0, 32)))] * 2),
    "like Mistral": decoder(*[attention(3, 16, 1, before=20)] * 2),
    "windows by layer": decoder(attention(4, 8, 2), attention(4, 8, 2, before=5), attention(4, 8, 2, before=0)),
    "like EmbeddingGemma": decoder(
        *[attention(3, 32, 1, after=9, before=9, rotary=LOCAL, qk_norm=RMS, scale=0.11)] * 2,
        attention(3, 32, 1, after=None, qk_norm=RMS, scale=0.11),
        norms=SANDWICH,
        activation="gelu_tanh",
        scale=48**0.5,
    ),
    "like EuroBERT": decoder(*[attention(4, 12, 2, after=None)] * 2),
    "like T5": decoder(
        *[attention(4, 8, 4, after=None, rotary=None, scale=1.0)] * 2,
        activation="relu",
        gated=False,
        relative_bias=RelativeBiasSpec(32),
    ),
    "yarn, heads of 64": decoder(*[attention(2, 64, 1, rotary=Rotary(1e4, YarnScaling(4.0, 64, 1.14)))] * 2),
    "heads of 128": decoder(*[attention(2, 128, 1, qk_norm=RMS)] * 2, hidden=64),
    "heads of 256": decoder(*[attention(1, 256, 1, qk_norm=RMS)] * 2, hidden=64),
    "layer norms of heads": decoder(*[attention(2, 20, 1, qk_norm=NormSpec(1e-5))] * 2),
}
each_decoder = pytest.mark.parametrize("spec", DECODERS.values(), ids=DECODERS)


def attended_prefixes(batch):
    return TokenBatch(batch.ids, batch.offsets, attended=np.maximum(1, batch.lengths * 2 // 3).astype(np.int32))


@pytest.fixture(params=_native.instruction_sets())
def cpu(request, monkeypatch) -> str:
    """Each instruction set of this machine in turn."""
    monkeypatch.setenv("PELLUCID_CPU", request.param)
    return request.param


@pytest.mark.usefixtures("cpu")
@each_decoder
class TestAgainstTheReference:
    def test_float32_is_within_rounding(self, spec):
        weights, batch = make_weights(spec), make_batch([1, 2, 17, 33, 68, 5, 64, 150])
        for tokens in (batch, attended_prefixes(batch)):
            expected = ReferenceEngine(spec, weights).token_vectors(tokens)
            vectors = NativeEngine(spec, weights, threads=2).token_vectors(tokens)
            np.testing.assert_allclose(normalize(vectors), normalize(expected), atol=5e-6, rtol=0)

    @pytest.mark.parametrize(("dtype", "min_cosine"), [("int16", 0.99999), ("int8", 0.998), ("bfloat16", 0.999)])
    def test_the_other_dtypes_are_close(self, spec, dtype, min_cosine):
        weights, batch = make_weights(spec), make_batch([1, 2, 17, 33, 68, 150])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        assert lowest_cosine(NativeEngine(spec, weights, dtype=dtype).token_vectors(batch), expected) > min_cosine


@pytest.mark.parametrize("dtype", DTYPES)
@each_decoder
def test_the_same_bits_in_any_company_on_any_number_of_threads(spec, dtype):
    weights = make_weights(spec)
    batch = make_batch([300, 1, 70, 2, 40, 129, 64, 5])
    alone = [NativeEngine(spec, weights, dtype=dtype, threads=1).token_vectors(one) for one in singles(batch)]
    wanted = np.random.default_rng(1).integers(0, batch.lengths, dtype=np.int32)
    wanted[:2] = batch.lengths[:2] - 1
    for threads in (1, 2, 5):
        engine = NativeEngine(spec, weights, dtype=dtype, threads=threads)
        np.testing.assert_array_equal(engine.token_vectors(batch), np.concatenate(alone))
        np.testing.assert_array_equal(engine.token_vectors(next(singles(batch))), alone[0])
        rows = np.concatenate(alone)[batch.offsets[:-1] + wanted]
        np.testing.assert_array_equal(engine.wanted_vectors(batch, wanted), rows)


def singles(batch):
    """Each text of a batch, alone."""
    return (TokenBatch.from_sequences([ids]) for ids in batch)


def test_a_long_text_is_within_rounding_on_several_threads():
    """More than 2,000 tokens, whose queries are shared among the threads."""
    spec = decoder(attention(2, 32, 1), attention(2, 32, 1, before=300, after=20), hidden=32)
    weights, batch = make_weights(spec), make_batch([2100])
    expected = ReferenceEngine(spec, weights).token_vectors(batch)
    vectors = NativeEngine(spec, weights, threads=3).token_vectors(batch)
    np.testing.assert_allclose(normalize(vectors), normalize(expected), atol=5e-6, rtol=0)


@pytest.mark.parametrize("name", ["like Qwen3", "like Mistral"])
def test_the_tokens_of_a_causal_model_do_not_depend_on_later_ones(name):
    spec, batch = DECODERS[name], make_batch([200])
    engine = NativeEngine(spec, make_weights(spec), threads=2)
    whole = engine.token_vectors(batch)
    for length in (1, 63, 150):
        start = TokenBatch.from_sequences([batch.ids[:length]])
        np.testing.assert_array_equal(engine.token_vectors(start), whole[:length])


def with_outliers(weights: EncoderWeights, seed=0) -> EncoderWeights:
    """The weights with a few channels that are 20 to 60 times wider than the others, as large decoders have them.

    They are channels of the token vectors, of values, and of the intermediate vectors.
    """
    rng = np.random.default_rng(seed)

    def widen(matrix, axis):
        count = matrix.shape[axis]
        factors = np.ones(count, dtype=np.float32)
        channels = rng.choice(count, size=max(1, count // 100), replace=False)
        factors[channels] = rng.uniform(20, 60, size=len(channels))
        return matrix * (factors[:, None] if axis == 0 else factors)

    layers = tuple(
        replace(
            layer,
            value=replace(layer.value, weight=widen(layer.value.weight, 0)),
            intermediate=replace(layer.intermediate, weight=widen(layer.intermediate.weight, 0)),
        )
        for layer in weights.layers
    )
    return replace(weights, word=TokenTable(widen(weights.word.rows, 1)), layers=layers)


@pytest.mark.parametrize("name", ["like Qwen3", "like EmbeddingGemma"])
def test_integers_keep_the_cosine_of_models_with_outliers(name):
    small = DECODERS[name]
    blocks = tuple(replace(block, feed_forward=replace(block.feed_forward, size=512)) for block in small.blocks)
    spec = replace(small, hidden_size=256, blocks=blocks)
    weights, batch = with_outliers(make_weights(spec)), make_batch([3, 17, 68, 150])
    expected = ReferenceEngine(spec, weights).token_vectors(batch)
    for dtype, min_cosine in (("int16", 0.9999), ("int8", 0.99)):
        vectors = NativeEngine(spec, weights, dtype=dtype).token_vectors(batch)
        assert lowest_cosine(vectors, expected) >= min_cosine, dtype
