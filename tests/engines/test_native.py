"""The native engine against the reference, on every instruction set of this machine; and how it treats the process: its
threads, Ctrl-C, the interpreter's lock, forks.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import _native
from pellucid.engines import native, reference
from pellucid.engines.dtypes import NATIVE_DTYPES as DTYPES
from pellucid.engines.native import NativeEngine
from pellucid.engines.reference import ReferenceEngine
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.layers.finish import Pool
from pellucid.layers.pooling import MODES, Pooling
from pellucid.model.spec import DisentangledSpec, EncoderSpec, NormPlaces, NormSpec
from pellucid.model.stored import TokenTable
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm, Norms
from pellucid.types import TokenBatch
from tests.specs import encoder_spec

VOCABULARY, POSITIONS = 50, 70
CPUS = _native.instruction_sets()


FAMILIES = ("bert", "mpnet", "modern", "nomic", "albert", "deberta")
DEBERTA = DisentangledSpec(
    span=8,
    buckets=8,
    max_distance=40,
    query_to_position=True,
    key_to_position=True,
    shared=True,
    norm=NormSpec(1e-7),
)


def make_spec(hidden=24, heads=3, inner=40, layers=3, *, family="bert", activation="gelu") -> EncoderSpec:
    """The shape of one of ``FAMILIES``. Together, they use everything that a spec can say."""
    details = {
        "bert": {"token_types": 2},
        "mpnet": {"padding_id": 1, "relative_buckets": 32},
        "modern": {"norm_first": True, "gated": True, "attention": ((None, 1e5), (9, 100.0), (9, 100.0))},
        "nomic": {"token_types": 2, "gated": True, "attention": ((None, 1e3),)},
        "albert": {"token_types": 2, "embedding_size": max(1, hidden // 3), "shared_layers": (0, 1, 0)[:layers]},
        "deberta": {"disentangled": DEBERTA},
    }
    return encoder_spec(
        family,
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        intermediate_size=inner,
        activation=activation,
        layer_norm_eps=1e-12,
        positions=POSITIONS,
        **details[family],
    )


def make_weights(spec: EncoderSpec, seed=0) -> EncoderWeights:
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    def linear(out, into):
        return Linear(normal(out, into) / np.float32(np.sqrt(into)), normal(out))

    def norm(size=spec.hidden_size):
        return Norm(1 + normal(size) / 8, normal(size) / 8)

    def norms(places):
        return Norms(**{place: norm() if getattr(places, place) else None for place in ("before", "after", "sum")})

    def layer(number):
        block, hidden = spec.blocks[number], spec.hidden_size
        attention, inner = block.attention, block.feed_forward.size
        return Layer(
            query=linear(attention.query_size, hidden),
            key=linear(attention.key_size, hidden),
            value=linear(attention.key_size, hidden),
            attention_output=linear(hidden, attention.query_size),
            attention_norms=norms(block.attention_norms),
            gate=linear(inner, hidden) if block.feed_forward.gated else None,
            intermediate=linear(inner, hidden),
            output=linear(hidden, inner),
            feed_forward_norms=norms(block.feed_forward_norms),
            query_norm=norm(attention.head_size) if attention.qk_norm else None,
            key_norm=norm(attention.head_size) if attention.qk_norm else None,
            position_key=linear(attention.key_size, hidden) if places and places.query_to_position else None,
            position_query=linear(attention.query_size, hidden) if places and places.key_to_position else None,
        )

    embedding, bias, places = spec.embedding, spec.relative_bias, spec.disentangled
    size = embedding.size or spec.hidden_size
    stored = {number: layer(number) for number in dict.fromkeys(spec.stored_layers)}
    return EncoderWeights(
        word=TokenTable(normal(spec.vocab_size, size)),
        position=normal(embedding.positions, size) if embedding.position_table else None,
        token_type=normal(embedding.token_types, size) if embedding.token_types else None,
        embedding_norm=norm(size) if embedding.norm else None,
        embedding_projection=linear(spec.hidden_size, size) if embedding.size else None,
        relative_bias=normal(bias.buckets, spec.blocks[0].attention.heads) if bias else None,
        relative_positions=normal(2 * places.span, spec.hidden_size) if places else None,
        layers=tuple(stored[number] for number in spec.stored_layers),
        final_norm=norm() if spec.final_norm else None,
    )


def in_16_bits(weights: EncoderWeights, kind) -> tuple[EncoderWeights, EncoderWeights]:
    """The weights with all matrices rounded to 16 bits: as a file stores them, and as float32."""

    def halves(floats):
        return floats.astype(np.float16) if kind == "float16" else (floats.view(np.uint32) >> 16).astype(np.uint16)

    def floats_again(stored):
        return stored.astype(np.float32) if kind == "float16" else (stored.astype(np.uint32) << 16).view(np.float32)

    def each(change):
        def changed(layer):
            linears = {name: part for name, part in vars(layer).items() if isinstance(part, Linear)}
            return replace(layer, **{name: Linear(change(part.weight), part.bias) for name, part in linears.items()})

        layers = tuple(changed(layer) for layer in weights.layers)
        return replace(weights, word=TokenTable(change(weights.word.rows)), layers=layers)

    return each(halves), each(lambda floats: floats_again(halves(floats)))


def make_batch(lengths, seed=0) -> TokenBatch:
    rng = np.random.default_rng(seed)
    return TokenBatch.from_sequences([rng.integers(0, VOCABULARY, size=length) for length in lengths])


@pytest.fixture(params=CPUS)
def cpu(request, monkeypatch) -> str:
    """Each instruction set of this machine in turn."""
    monkeypatch.setenv("PELLUCID_CPU", request.param)
    return request.param


def lowest_cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return ((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


@pytest.mark.usefixtures("cpu")
class TestAgainstTheReference:
    # Sizes that are multiples of a vector, of a group of 192 or of a head; and sizes that are not.
    @pytest.mark.parametrize(
        ("hidden", "heads", "inner"), [(24, 3, 40), (64, 1, 128), (36, 12, 50), (130, 10, 200), (96, 2, 401), (6, 6, 1)]
    )
    @pytest.mark.parametrize("kind", FAMILIES)
    def test_float32_is_within_rounding(self, kind, hidden, heads, inner):
        if kind in ("modern", "nomic") and hidden // heads % 2:
            hidden *= 2  # Rotations need pairs of numbers.
        spec = make_spec(hidden, heads, inner, family=kind)
        weights, batch = make_weights(spec), make_batch([1, 2, 17, 33, 68, 5, 64])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        vectors = NativeEngine(spec, weights, threads=2).token_vectors(batch)
        np.testing.assert_allclose(vectors, expected, atol=2e-5)

    def test_a_window_with_only_the_token_itself(self):
        spec = make_spec(family="modern")
        blocks = tuple(replace(block, attention=replace(block.attention, before=0, after=0)) for block in spec.blocks)
        spec = replace(spec, blocks=blocks)
        weights, batch = make_weights(spec), make_batch([1, 5, 40])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        np.testing.assert_allclose(NativeEngine(spec, weights).token_vectors(batch), expected, atol=1e-5)

    @pytest.mark.parametrize("dtype", ["float32", "int16"])
    @pytest.mark.parametrize("places", ["before", "after", "sum", "before after", "before sum", "before after sum", ""])
    @pytest.mark.parametrize("ends", ["embedding final", "embedding", "final", ""])
    def test_norms_may_be_in_any_place(self, places, ends, dtype):
        norm, spec = NormSpec(1e-5), make_spec()
        norm_places = NormPlaces(**dict.fromkeys(places.split(), norm))
        blocks = tuple(replace(b, attention_norms=norm_places, feed_forward_norms=norm_places) for b in spec.blocks)
        embedding = replace(spec.embedding, norm=norm if "embedding" in ends else None)
        spec = replace(spec, embedding=embedding, blocks=blocks, final_norm=norm if "final" in ends else None)
        weights, batch = make_weights(spec), make_batch([1, 5, 40, 68])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        vectors = NativeEngine(spec, weights, dtype=dtype, threads=2).token_vectors(batch)
        if dtype == "float32":  # Without a norm, the numbers grow.
            np.testing.assert_allclose(vectors, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
        else:
            assert lowest_cosine(vectors, expected) > 0.9999

    @pytest.mark.parametrize(("heads", "kv_heads", "size"), [(4, 2, 6), (6, 1, 8), (3, 3, 16), (5, 5, 2)])
    @pytest.mark.parametrize("dtype", ["float32", "int16"])
    def test_queries_keys_and_values_may_have_different_widths(self, heads, kv_heads, size, dtype):
        spec = make_spec(family="nomic")
        attention = replace(spec.blocks[0].attention, heads=heads, kv_heads=kv_heads, head_size=size)
        spec = replace(spec, blocks=tuple(replace(block, attention=attention) for block in spec.blocks))
        weights, batch = make_weights(spec), make_batch([1, 5, 40, 68])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        vectors = NativeEngine(spec, weights, dtype=dtype, threads=2).token_vectors(batch)
        np.testing.assert_allclose(vectors, expected, atol=2e-5 if dtype == "float32" else 5e-3)

    def test_tokens_of_both_segments(self):
        spec, batch = make_spec(), make_batch([1, 5, 40, 68])
        weights = make_weights(spec)
        segments = (np.arange(len(batch.ids)) % 3 == 0).astype(np.int8)
        pairs = TokenBatch(batch.ids, batch.offsets, segments)
        expected = ReferenceEngine(spec, weights).token_vectors(pairs)
        engine = NativeEngine(spec, weights, threads=2)
        np.testing.assert_allclose(engine.token_vectors(pairs), expected, atol=2e-5)
        assert not np.allclose(engine.token_vectors(batch), expected, atol=1e-2)
        zeros = TokenBatch(batch.ids, batch.offsets, np.zeros_like(segments))
        np.testing.assert_array_equal(engine.token_vectors(zeros), engine.token_vectors(batch))

    @pytest.mark.parametrize("kind", FAMILIES)
    @pytest.mark.parametrize("lengths", [[0], [0, 0], [0, 3, 0, 0, 2, 0]])
    def test_a_text_without_tokens_has_no_rows(self, kind, lengths):
        spec = make_spec(36, family=kind)
        weights, batch = make_weights(spec), make_batch(lengths)
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        assert expected.shape == (sum(lengths), 36)
        np.testing.assert_allclose(NativeEngine(spec, weights).token_vectors(batch), expected, atol=2e-5)

    @pytest.mark.parametrize("activation", native.ACTIVATIONS)
    def test_every_activation(self, activation):
        spec = make_spec(activation=activation)
        weights, batch = make_weights(spec), make_batch([3, 60])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        np.testing.assert_allclose(NativeEngine(spec, weights).token_vectors(batch), expected, atol=1e-5)

    @pytest.mark.parametrize(
        ("dtype", "min_cosine"), [("int16", 0.999999), ("int8", 0.999), ("int4", 0.97), ("bfloat16", 0.9999)]
    )
    @pytest.mark.parametrize("kind", FAMILIES)
    def test_the_other_dtypes_are_close(self, kind, dtype, min_cosine):
        spec = make_spec(140, 10, 401, family=kind)
        weights, batch = make_weights(spec), make_batch([1, 2, 17, 33, 68])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        assert lowest_cosine(NativeEngine(spec, weights, dtype=dtype).token_vectors(batch), expected) > min_cosine

    @pytest.mark.parametrize(("dtype", "min_cosine"), [("int16", 0.9999), ("int8", 0.99), ("int4", 0.97)])
    @pytest.mark.parametrize("kind", ["bert", "modern"])
    def test_a_few_wide_channels_cost_little(self, kind, dtype, min_cosine):
        """In large models, a few channels of the vectors between layers have numbers 20 to 60 times as large."""
        spec = make_spec(256, 4, 700, layers=4, family=kind)
        weights, widths, rng = make_weights(spec), np.ones(256, dtype=np.float32), np.random.default_rng(1)
        widths[rng.choice(256, 3, replace=False)] = rng.uniform(20, 60, 3)

        def widen(layer: Linear) -> Linear:
            return replace(layer, weight=layer.weight * widths[:, None])

        layers = tuple(
            replace(layer, attention_output=widen(layer.attention_output), output=widen(layer.output))
            for layer in weights.layers
        )
        weights, batch = replace(weights, word=weights.word * widths, layers=layers), make_batch([1, 12, 68])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        means = [
            [each.mean(axis=0) for each in np.split(vectors, batch.offsets[1:-1])]
            for vectors in (NativeEngine(spec, weights, dtype=dtype).token_vectors(batch), expected)
        ]
        assert lowest_cosine(*map(np.stack, means)) > min_cosine

    @pytest.mark.parametrize("dtype", ["int16", "int8"])
    def test_sums_of_the_largest_integers_do_not_overflow(self, dtype):
        """The worst case for an accumulator: all weights and activations of a row are equal and as large as can be."""
        spec = make_spec(768, 12, 3072, layers=1)
        weights = make_weights(spec)
        factors = np.random.default_rng(1).normal(size=(768, 1)).astype(np.float32)
        large = Linear(np.full((3072, 768), 1e-4, dtype=np.float32), np.full(3072, 50, dtype=np.float32))
        extreme = Linear(np.full((768, 3072), 1e4, dtype=np.float32) * factors, np.zeros(768, dtype=np.float32))
        layer = replace(weights.layers[0], intermediate=large, output=extreme)
        weights = replace(weights, layers=(layer,))
        batch = make_batch([9])
        expected = ReferenceEngine(spec, weights).token_vectors(batch)
        np.testing.assert_allclose(
            NativeEngine(spec, weights, dtype=dtype).token_vectors(batch),
            expected,
            atol=0.02 if dtype == "int8" else 1e-3,
        )

    def test_overflow_gives_nan_in_every_dtype(self):
        """If weights overflow in float32, the result is NaN, not a number that looks right."""
        spec = make_spec()
        weights = make_weights(spec)
        huge = Norm(np.full(24, 3e38, dtype=np.float32), np.full(24, 3e38, dtype=np.float32))
        weights = replace(weights, embedding_norm=huge)
        for dtype in DTYPES:
            vectors = NativeEngine(spec, weights, dtype=dtype).token_vectors(make_batch([3]))
            assert np.isnan(vectors).any(axis=1).all(), dtype


class TestTheSameBits:
    @pytest.fixture(
        scope="class",
        params=[(cpu, dtype, kind) for cpu in CPUS for dtype in DTYPES for kind in ("mpnet", "modern", "deberta")],
        ids="-".join,
    )
    @staticmethod
    def engines(request):
        """Engines with the same weights, and 1, 2 and 5 threads."""
        spec = make_spec(72, 6, 200, layers=2, family=request.param[2])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PELLUCID_CPU", request.param[0])
            return [NativeEngine(spec, make_weights(spec), dtype=request.param[1], threads=n) for n in (1, 2, 5)]

    @settings(max_examples=10)  # For each of about fifty engines.
    @given(
        lengths=st.lists(st.integers(1, 68), min_size=1, max_size=8),
        seed=st.integers(0, 3),
        order=st.randoms(use_true_random=False),
    )
    def test_alone_in_any_batch_in_any_order_on_any_number_of_threads(self, engines, lengths, seed, order):
        batch = make_batch(lengths, seed)
        alone = [engines[0].token_vectors(TokenBatch.from_sequences([ids])) for ids in batch]
        indices = list(range(len(lengths)))
        order.shuffle(indices)
        shuffled = batch.select(np.array(indices))
        expected = np.concatenate([alone[index] for index in indices])
        wanted = np.random.default_rng(seed).integers(0, shuffled.lengths, dtype=np.int32)
        for engine in engines:
            np.testing.assert_array_equal(engine.token_vectors(shuffled), expected)
            rows = engine.wanted_vectors(shuffled, wanted)
            np.testing.assert_array_equal(rows, expected[shuffled.offsets[:-1] + wanted])

    def test_a_batch_of_many_chunks(self, engines):
        batch = make_batch(range(1, 69, 3))
        expected = np.concatenate([engines[0].token_vectors(TokenBatch.from_sequences([ids])) for ids in batch])
        for engine in engines:
            np.testing.assert_array_equal(engine.token_vectors(batch), expected)
            np.testing.assert_array_equal(
                engine.wanted_vectors(batch, batch.lengths - 1), expected[batch.offsets[1:] - 1]
            )


class TestPooling:
    """The core pools. The lines of NumPy in ``layers/pooling.py`` define the results."""

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize(
        "pooling",
        [
            Pooling(modes, include_prompt)
            for modes in [*((mode,) for mode in MODES), tuple(MODES)]
            for include_prompt in (True, False)
        ],
        ids=lambda pooling: f"{'+'.join(pooling.modes)}{'' if pooling.include_prompt else ', no prompt'}",
    )
    def test_every_mode_agrees_with_numpy(self, pooling, threads, dtype):
        spec, batch = make_spec(), make_batch([5, 1, 40, 2, 68, 3, 9])
        engine, finish = (
            NativeEngine(spec, make_weights(spec), dtype=dtype, threads=threads),
            Pool(pooling, prompt_tokens=3),
        )
        expected = finish(engine.token_vectors(batch), batch)
        # NumPy adds the rows in the same order. But a compiler may round a weight times a number once less.
        tolerance = 3e-7 if "weightedmean" in pooling.modes else 0
        np.testing.assert_allclose(engine.run(batch, finish), expected, rtol=tolerance, atol=tolerance)

    def test_requests_with_other_prompts_and_modules_share_a_call(self):
        engine = NativeEngine(make_spec(), make_weights(make_spec()), threads=2)
        pooling = Pooling(("mean",), include_prompt=False)
        requests = [
            (make_batch([5, 7]), Pool(pooling, prompt_tokens=2)),
            (make_batch([9]), Pool(pooling, normalize=True)),
            (make_batch([3, 1]), Pool(pooling, prompt_tokens=1, truncate_dim=5)),
        ]
        for (batch, finish), result in zip(requests, engine.run_each(requests), strict=True):
            np.testing.assert_array_equal(result, finish(engine.token_vectors(batch), batch))

    @pytest.mark.parametrize("lengths", [[0, 4], [0]])
    def test_a_text_without_tokens_gives_zeros(self, lengths):
        spec = make_spec()
        engine, batch = NativeEngine(spec, make_weights(spec)), make_batch(lengths)
        finish = Pool(Pooling())
        np.testing.assert_array_equal(engine.run(batch, finish), finish(engine.token_vectors(batch), batch))

    def test_nan_stays_nan(self):
        spec = make_spec(layers=1)
        weights = make_weights(spec)
        rows = np.where(np.arange(VOCABULARY)[:, None] == 3, np.float32(np.nan), weights.word.rows)
        broken = replace(weights, word=TokenTable(rows))
        batch = TokenBatch.from_sequences([[3, 4, 5], [4, 5]])
        pooled = NativeEngine(spec, broken).run(batch, Pool(Pooling(tuple(MODES))))
        assert np.isnan(pooled[0]).all()
        assert np.isfinite(pooled[1]).all()


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("family", ["nomic", "albert", "deberta"])
def test_weights_stored_in_16_bits_count_as_the_same_numbers_in_float32(family, kind):
    spec = make_spec(hidden=30, family=family)  # Rows of 30 numbers do not end with a whole vector.
    stored, floats = in_16_bits(make_weights(spec), kind)
    batch = make_batch([5, 1, 30])
    for dtype in DTYPES:
        results = [NativeEngine(spec, weights, dtype=dtype).token_vectors(batch) for weights in (stored, floats)]
        np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(*(ReferenceEngine(spec, each).token_vectors(batch) for each in (stored, floats)))


def test_a_call_takes_more_tokens_with_more_threads():
    spec = make_spec()
    sizes = [NativeEngine(spec, make_weights(spec), threads=n).tokens_per_call for n in (1, 4, 16, 64, 1000)]
    assert sizes == [8192, 8192, 32768, 131072, 131072]


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("layers", [1, 3])
def test_the_vector_of_one_token_has_the_same_bits_in_every_family(kind, layers):
    spec, batch = make_spec(layers=layers, family=kind), make_batch([1, 5, 40, 68])
    engine = NativeEngine(spec, make_weights(spec), threads=2)
    wanted = np.array([0, 2, 39, 7], dtype=np.int32)
    expected = engine.token_vectors(batch)[batch.offsets[:-1] + wanted]
    np.testing.assert_array_equal(engine.wanted_vectors(batch, wanted), expected)


def test_texts_without_tokens_are_skipped():
    spec = make_spec(family="mpnet")
    engine = NativeEngine(spec, make_weights(spec), threads=2)
    batch = make_batch([0, 3, 0, 0, 7, 0])
    np.testing.assert_array_equal(
        engine.token_vectors(batch), engine.token_vectors(TokenBatch(batch.ids, np.array([0, 3, 10], dtype=np.int32)))
    )
    assert engine.token_vectors(make_batch([0, 0])).shape == (0, spec.hidden_size)


def test_an_empty_batch_gives_no_rows():
    spec = make_spec()
    assert NativeEngine(spec, make_weights(spec)).token_vectors(TokenBatch.from_sequences([])).shape == (0, 24)


@given(lengths=st.lists(st.integers(1, 9), max_size=5), seed=st.integers(0, 99))
@pytest.mark.parametrize("kind", FAMILIES)
def test_the_positions_of_a_batch_are_the_positions_of_its_texts(kind, lengths, seed):
    spec, batch = make_spec(family=kind), make_batch(lengths, seed)
    batch = TokenBatch(batch.ids % 3, batch.offsets)  # So there are padding tokens.
    expected = [position for ids in batch for position in reference.position_ids(ids, spec).tolist()]
    assert native.position_ids(batch, spec).tolist() == expected


@pytest.mark.usefixtures("cpu")
class TestTheRealModels:
    def test_float32_is_within_2e_6_of_the_golden_vectors_on_every_instruction_set(self, minilm, golden_minilm):
        embed = embed_function(minilm, "float32")
        assert np.abs(embed(golden_minilm.texts) - golden_minilm.vectors).max() < 2e-6

    @pytest.mark.parametrize(("dtype", "min_cosine"), [("int16", 0.9999), ("int8", 0.99), ("int4", 0.9)])
    def test_integers_keep_every_cosine(self, minilm, golden_minilm, dtype, min_cosine):
        sample = slice(None, None, 4)  # Integers without vector instructions are slow.
        vectors = embed_function(minilm, dtype)(golden_minilm.texts[sample])
        assert lowest_cosine(vectors, golden_minilm.vectors[sample]) >= min_cosine


class TestChoices:
    def test_the_best_instruction_set_is_the_default(self, monkeypatch):
        monkeypatch.delenv("PELLUCID_CPU", raising=False)
        spec = make_spec()
        assert NativeEngine(spec, make_weights(spec)).cpu == CPUS[0]
        assert CPUS[-1] == "scalar"

    def test_the_environment_can_choose_another(self, cpu):
        spec = make_spec()
        assert NativeEngine(spec, make_weights(spec)).cpu == cpu

    def test_an_instruction_set_that_this_machine_does_not_have_is_refused(self, monkeypatch):
        monkeypatch.setenv("PELLUCID_CPU", "avx1024")
        with pytest.raises(
            OptionError, match=r"PELLUCID_CPU='avx1024' is not an instruction set of this machine. .*scalar"
        ):
            native.instruction_set()

    @pytest.mark.parametrize("threads", [2**31, 10**12])
    def test_absurdly_many_threads_are_refused(self, threads):
        spec = make_spec()
        with pytest.raises(OptionError, match=f"threads={threads} exceeds the limit of 16,384"):
            NativeEngine(spec, make_weights(spec), threads=threads)

    def test_an_activation_that_the_core_does_not_have_is_refused(self):
        spec = make_spec(activation="tanh")
        with pytest.raises(UnsupportedModelError, match="engine='native' does not support the activation 'tanh'"):
            NativeEngine(spec, make_weights(spec))

    def test_peaks_measures_speeds(self, monkeypatch):
        monkeypatch.delenv("PELLUCID_CPU", raising=False)
        peaks = native.peaks(1, seconds=0.01)
        assert set(peaks) == {"multiply_add", *DTYPES}
        assert all(speed > 0.1 for speed in peaks.values())


def turns(positions, pairs):
    return np.zeros((positions, pairs), dtype=np.float32), np.zeros((positions, pairs), dtype=np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": np.array([VOCABULARY], dtype=np.int32)}, "token id"),
        ({"ids": np.array([-1], dtype=np.int32)}, "token id"),
        ({"positions": np.array([POSITIONS], dtype=np.int32)}, "position"),
        ({"offsets": np.array([0, 2], dtype=np.int32)}, "offsets"),
        ({"offsets": np.array([0, 0, 1], dtype=np.int32)}, "no tokens"),
        ({"offsets": np.array([0, 2, 1], dtype=np.int32)}, "no tokens"),
        ({"out": np.empty((2, 24), dtype=np.float32)}, "fit"),
        ({"out": np.empty((1, 23), dtype=np.float32)}, "fit"),
        ({"threads": 0}, "fit"),
        ({"segments": np.zeros(2, dtype=np.int8)}, "fit"),
        ({"segments": np.array([2], dtype=np.int8)}, "segment is out of range"),
        ({"segments": np.array([-1], dtype=np.int8)}, "segment is out of range"),
        ({"turns": []}, "turns of a layer are missing"),
        ({"wanted": np.array([1], dtype=np.int32)}, "wanted token"),
        ({"wanted": np.array([-1], dtype=np.int32)}, "wanted token"),
        ({"wanted": np.array([0, 0], dtype=np.int32)}, "fit"),
        ({"attended": np.array([0], dtype=np.int32)}, "fewer tokens than are looked at"),
        ({"attended": np.array([2], dtype=np.int32)}, "fewer tokens than are looked at"),
        ({"attended": np.array([1, 1], dtype=np.int32)}, "how many of its tokens are looked at"),
        ({"poolings": ["median"]}, "unknown pooling"),
        ({"poolings": ["mean", "max"]}, "fit"),
        ({"poolings": ["mean"], "wanted": np.array([0], dtype=np.int32)}, "pooled texts have no wanted tokens"),
        ({"poolings": ["mean"], "skipped": np.array([2], dtype=np.int32)}, "fewer tokens than are skipped"),
        ({"poolings": ["mean"], "skipped": np.array([-1], dtype=np.int32)}, "fewer tokens than are skipped"),
        ({"poolings": ["mean"], "skipped": np.array([0, 0], dtype=np.int32)}, "how many of its tokens are skipped"),
        (
            {
                "family": "mpnet",  # Padding tokens share a position, but have distances.
                "ids": np.ones(POSITIONS - 1, dtype=np.int32),
                "positions": np.ones(POSITIONS - 1, dtype=np.int32),
                "offsets": np.array([0, POSITIONS - 1], dtype=np.int32),
                "out": np.empty((POSITIONS - 1, 24), dtype=np.float32),
            },
            "too long for the relative bias",
        ),
        ({"turns": [turns(9, 4), turns(9, 3)]}, "turns have the wrong shape"),
        ({"turns": [turns(9, 4), (turns(9, 4)[0], turns(8, 4)[0])]}, "turns have the wrong shape"),
        ({"turns": [turns(9, 4), turns(9, 4)], "positions": np.array([9], dtype=np.int32)}, "position"),
    ],
)
def test_the_core_checks_what_could_crash_it(changes, message):
    changes = dict(changes)
    spec = make_spec(family=changes.pop("family", "modern" if "turns" in changes else "bert"))
    arguments = {
        "turns": [],
        "ids": np.array([3], dtype=np.int32),
        "positions": np.array([0], dtype=np.int32),
        "offsets": np.array([0, 1], dtype=np.int32),
        "out": np.empty((1, 24), dtype=np.float32),
        "segments": None,
        "wanted": None,
        "threads": 1,
        "in_main_thread": True,
    }
    with pytest.raises(ValueError, match=message):
        NativeEngine(spec, make_weights(spec))._core.token_vectors(**{**arguments, **changes})


def count_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


class TestThreads:
    @pytest.fixture(scope="class")
    @staticmethod
    def engine():
        spec = make_spec(384, 12, 1536, layers=2)
        return NativeEngine(spec, make_weights(spec), threads=2)

    @pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads in /proc")
    def test_no_thread_is_left_after_a_call(self, engine):
        before = count_threads()
        engine.token_vectors(make_batch([60] * 20))
        engine.token_vectors(make_batch([60]))
        deadline = time.monotonic() + 60  # A joined thread may stay in /proc for a moment.
        while count_threads() > before:
            assert time.monotonic() < deadline, "a thread is left"
            time.sleep(0.01)

    def test_many_python_threads_at_once_get_the_same_bits(self, engine):
        batches = [make_batch([length, 5, 60], seed) for seed, length in enumerate(range(1, 41))]
        expected = [engine.token_vectors(batch) for batch in batches]
        with ThreadPoolExecutor(8) as pool:
            for actual, vectors in zip(pool.map(engine.token_vectors, batches), expected, strict=True):
                np.testing.assert_array_equal(actual, vectors)

    def test_other_python_threads_run_meanwhile(self, engine):
        """The engine releases the interpreter's lock: another thread can count while it works."""
        stop, steps = threading.Event(), []

        def count():
            while not stop.wait(0.001):
                steps.append(1)

        counter = threading.Thread(target=count)
        counter.start()
        during, deadline = 0, time.monotonic() + 60
        while during < 3 and time.monotonic() < deadline:  # On a busy machine, the thread may not run at once.
            before = len(steps)
            engine.token_vectors(make_batch([60] * 120))
            during = len(steps) - before
        stop.set()
        counter.join()
        assert during >= 3  # With the lock held, at most one step fits, between `before` and the call.

    def test_off_the_main_thread_it_does_not_wait_for_the_interpreter(self, engine, monkeypatch):
        """Only a call from the main thread may ask Python about Ctrl-C.

        Here, the main thread keeps the interpreter's lock while another thread embeds.
        """
        core, rows = engine._core, []

        class Core:
            def token_vectors(self, ids, positions, offsets, segments, wanted, turns, out, *options):
                out[:] = np.nan
                rows.append(out)
                core.token_vectors(ids, positions, offsets, segments, wanted, turns, out, *options)

        monkeypatch.setattr(engine, "_core", Core())
        worker = threading.Thread(target=engine.token_vectors, args=[make_batch([60] * 400)])
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)
        try:
            worker.start()
            while not rows:
                time.sleep(0.001)
            deadline = time.monotonic() + 30
            finished = False
            while not finished and time.monotonic() < deadline:
                finished = all(map(math.isfinite, rows[0][:, 0].tolist()))  # np.isnan would release the lock.
        finally:
            sys.setswitchinterval(interval)
            worker.join()
        assert finished

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_can_use_it(self, engine):
        batch = make_batch([60] * 20)
        expected = engine.token_vectors(batch)
        child = os.fork()
        if not child:
            os._exit(0 if np.array_equal(engine.token_vectors(batch), expected) else 1)
        deadline = time.monotonic() + 60
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                pytest.fail("the child hangs")
            time.sleep(0.01)
        assert os.waitstatus_to_exitcode(ended[1]) == 0

    @pytest.mark.parametrize("lengths", ["[60] * 2000", "[60]"])
    def test_a_process_can_end_while_a_daemon_thread_embeds(self, lengths):
        script = f"""
import threading, time
from tests.engines.test_native import make_batch, make_spec, make_weights, NativeEngine
spec = make_spec(384, 12, 1536, layers=2)
engine = NativeEngine(spec, make_weights(spec), threads=2)
batch = make_batch({lengths})
started = threading.Event()
def work():
    while True:
        started.set()
        engine.token_vectors(batch)
threading.Thread(target=work, daemon=True).start()
started.wait()
time.sleep(0.1)
"""
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_ctrl_c_ends_a_call_early(self):
        script = """
import signal, time
from tests.engines.test_native import make_batch, make_spec, make_weights, NativeEngine
signal.signal(signal.SIGINT, signal.default_int_handler)  # In the background, Python may ignore it.
spec = make_spec(384, 12, 1536, layers=2)
engine = NativeEngine(spec, make_weights(spec), threads=2)
batch, fiftieth = make_batch([68] * 20_000), make_batch([68] * 400)
start = time.monotonic()
engine.token_vectors(fiftieth)
try:
    print(time.monotonic() - start, flush=True)
    engine.token_vectors(batch)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            fiftieth = float(process.stdout.readline())
            time.sleep(0.3)
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            assert time.monotonic() - start < 25 * fiftieth
            assert process.wait(timeout=60) == 0


def embed_function(embedder, dtype):
    """A function that embeds texts with the model of ``embedder``, and with the native engine as it is set up now."""
    from pellucid import Embedder

    return Embedder(embedder.files.folder, dtype=dtype, on_truncation="ignore").embed_documents
