"""The reference engine against a second, slow implementation of the papers, in loops over tokens, heads and layers."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st

from pellucid.engines import reference
from pellucid.engines.reference import ReferenceEngine
from pellucid.model.load import load_spec, load_weights
from pellucid.sources import local
from pellucid.types import TokenBatch
from tests import tiny


@pytest.fixture(scope="module")
def engine(family, tmp_path_factory) -> ReferenceEngine:
    files = local.find(str(tiny.write_model(tmp_path_factory.mktemp("model"), family)))
    spec = load_spec(files)
    return ReferenceEngine(spec.encoder, load_weights(files, spec))


def slow_norm(x, norm, eps):
    mean = sum(x) / len(x)
    variance = sum((value - mean) ** 2 for value in x) / len(x)
    return (x - mean) / math.sqrt(variance + eps) * norm.weight + norm.bias


def slow_linear(x, layer):
    return layer.weight.astype(np.float64) @ x + layer.bias


def slow_bucket(distance):
    """T5's bidirectional relative_position_bucket, with 32 buckets and a maximum distance of 128, as defined."""
    start, distance = (16, distance) if distance > 0 else (0, -distance)
    if distance < 8:
        return start + distance
    return start + min(15, 8 + int(np.float32(math.log(np.float32(distance / 8)) / math.log(16) * 8)))


def slow_rotation(vector, position, base):
    """Pairs of numbers as complex numbers, each rotated by an angle that grows with the position."""
    half = len(vector) // 2
    rotated = [
        complex(vector[i], vector[half + i]) * cmath.exp(1j * position / base ** (2 * i / len(vector)))
        for i in range(half)
    ]
    return np.array([number.real for number in rotated] + [number.imag for number in rotated])


def slow_activation(name, values):
    if name == "gelu_tanh":
        inner = [math.sqrt(2 / math.pi) * (value + 0.044715 * value**3) for value in values]
        return np.array([0.5 * value * (1 + math.tanh(x)) for value, x in zip(values, inner, strict=True)])
    if name == "silu":
        return np.array([value / (1 + math.exp(-value)) for value in values])
    return np.array([0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in values])


def slow_place(distance, places):
    """DeBERTa's number of a relative position, with log buckets as in its published code."""
    middle, size = (places.buckets or 0) // 2, abs(distance)
    if places.buckets and size > middle:
        ratio = np.float32(math.log(np.float32(size / middle))) / np.float32(
            math.log((places.max_distance - 1) / middle)
        )
        size = middle + math.ceil(np.float32(ratio * np.float32(middle - 1)))
    return min(max((size if distance > 0 else -size) + places.span, 0), 2 * places.span - 1)


def is_seen(query, key, spec):
    """True if the query at one position looks at the key at another."""
    return (spec.before is None or key >= query - spec.before) and (spec.after is None or key <= query + spec.after)


def slow_attention(x, layer, spec, weights, places):
    """What each token takes from the tokens that it looks at."""
    size = spec.head_size
    q, k, v = ([slow_linear(token, part) for token in x] for part in (layer.query, layer.key, layer.value))
    contexts = []
    for i in range(len(x)):
        context = []
        for head in range(spec.heads):
            part = slice(head * size, (head + 1) * size)
            seen = [j for j in range(len(x)) if is_seen(i, j, spec)]
            scores = []
            for j in seen:
                query, key = q[i][part], k[j][part]
                if spec.rotary is not None:
                    query = slow_rotation(query, i, spec.rotary.base)
                    key = slow_rotation(key, j, spec.rotary.base)
                bias = 0 if weights.relative_bias is None else weights.relative_bias[slow_bucket(j - i), head]
                products = [query @ key]
                if places is not None:
                    vector = weights.relative_positions[slow_place(i - j, places)].astype(np.float64)
                    if layer.position_key is not None:
                        products.append(query @ slow_linear(vector, layer.position_key)[part])
                    if layer.position_query is not None:
                        products.append(key @ slow_linear(vector, layer.position_query)[part])
                scores.append(sum(products) / math.sqrt(size * len(products)) + bias)
            exponents = [math.exp(score) for score in scores]
            context += list(sum(e / sum(exponents) * v[j][part] for j, e in zip(seen, exponents, strict=True)))
        contexts.append(slow_linear(np.array(context), layer.attention_output))
    return contexts


def slow_feed_forward(token, layer, spec):
    inner = slow_linear(token, layer.intermediate)
    if layer.gate is None:
        return slow_linear(slow_activation(spec.feed_forward.activation, inner), layer.output)
    gate = slow_activation(spec.feed_forward.activation, slow_linear(token, layer.gate))
    return slow_linear(gate * inner, layer.output)


def slow_encode(ids, spec, weights):
    """The token vectors in float64, computed one number at a time where that is fast enough."""
    padding = spec.embedding.padding_id
    if padding is None:
        positions = list(range(len(ids)))
    else:
        positions, last = [], padding
        for token in ids:
            last += token != padding
            positions.append(last if token != padding else padding)

    def norm(vector, weights):
        return vector if weights is None else slow_norm(vector, weights, spec.embedding.norm.eps)

    x = []
    for token, position in zip(ids, positions, strict=True):
        vector = weights.word.rows[token].astype(np.float64)
        if weights.position is not None:
            vector = vector + weights.position[position]
        if weights.token_type is not None:
            vector = vector + weights.token_type[0]
        vector = norm(vector, weights.embedding_norm)
        projection = weights.embedding_projection
        x.append(vector if projection is None else slow_linear(vector, projection))
    places = spec.disentangled
    for number, layer in enumerate(weights.layers):
        block = spec.blocks[number]
        first, second = layer.attention_norms, layer.feed_forward_norms
        if spec.final_norm is not None:  # The norms are before the sublayers.
            changes = slow_attention(
                [norm(token, first.before) for token in x], layer, block.attention, weights, places
            )
            x = [token + change for token, change in zip(x, changes, strict=True)]
            x = [token + slow_feed_forward(norm(token, second.before), layer, block) for token in x]
        else:
            changes = slow_attention(x, layer, block.attention, weights, places)
            x = [norm(token + change, first.sum) for token, change in zip(x, changes, strict=True)]
            x = [norm(token + slow_feed_forward(token, layer, block), second.sum) for token in x]
    return np.array([norm(token, weights.final_norm) for token in x])


def last_vectors(engine, ids):
    *_, last = engine.steps(ids)
    return last.vectors


@pytest.mark.parametrize("length", [1, 2, 7, tiny.MAX_TOKENS])
def test_it_computes_what_the_papers_describe(engine, length):
    ids = np.random.default_rng(length).integers(0, engine.spec.vocab_size, length).astype(np.int32)
    exact = slow_encode(ids.tolist(), engine.spec, engine.weights)
    np.testing.assert_allclose(last_vectors(engine, ids), exact, atol=5e-6)


def test_a_padding_token_in_the_text_follows_the_familys_rule(engine):
    ids = np.array([2, 1, 1, 9, 1, 3], dtype=np.int32)
    np.testing.assert_allclose(
        last_vectors(engine, ids), slow_encode(ids.tolist(), engine.spec, engine.weights), atol=5e-6
    )


@given(st.lists(st.lists(st.integers(0, 40), max_size=tiny.MAX_TOKENS), min_size=1, max_size=5))
def test_a_text_has_the_same_bits_whatever_the_other_texts_are(engine, sequences):
    batch = TokenBatch.from_sequences(sequences)
    together = engine.token_vectors(batch)
    assert together.shape == (len(batch.ids), engine.spec.hidden_size)
    assert together.dtype == np.float32
    for text, ids in enumerate(batch):
        rows = together[batch.offsets[text] : batch.offsets[text + 1]]
        assert rows.tobytes() == engine.token_vectors(TokenBatch.from_sequences([ids])).tobytes()


def test_texts_without_tokens_are_skipped(engine):
    batch = TokenBatch.from_sequences([[], [2, 3], [], [5], []])
    np.testing.assert_array_equal(
        engine.token_vectors(batch), engine.token_vectors(TokenBatch.from_sequences([[2, 3], [5]]))
    )


def test_the_steps_are_the_embedding_each_layer_and_any_final_norm(engine):
    ids = np.array([2, 9, 8, 3], dtype=np.int32)
    steps = list(engine.steps(ids))
    layers = [f"layer {number + 1}" for number in range(len(engine.spec.blocks))]
    last = [] if engine.weights.final_norm is None else ["final norm"]
    assert [step.name for step in steps] == ["embedding", *layers, *last]
    assert [step.vectors.shape for step in steps] == [(4, engine.spec.hidden_size)] * len(steps)
    for step in steps:
        assert (step.attention is not None) == (step.name in layers)
        if step.attention is not None:
            heads = engine.spec.blocks[0].attention.heads
            np.testing.assert_allclose(step.attention.sum(axis=-1), np.ones((heads, 4)), rtol=1e-6)
    np.testing.assert_array_equal(steps[-1].vectors, last_vectors(engine, ids))


def test_an_empty_batch_gives_no_rows(engine):
    assert engine.token_vectors(TokenBatch.from_sequences([])).shape == (0, engine.spec.hidden_size)


def test_relative_buckets_follow_the_definition_at_every_distance():
    distances = np.arange(-600, 601)
    buckets = reference.relative_buckets(distances, 32, 128)
    assert buckets.tolist() == [slow_bucket(int(distance)) for distance in distances]
    assert (buckets.min(), buckets.max()) == (0, 31)


def test_fairseq_positions_do_not_count_padding():
    spec = type("Spec", (), {"embedding": type("EmbeddingSpec", (), {"padding_id": 1})})
    assert reference.position_ids(np.array([0, 5, 1, 1, 6]), spec).tolist() == [2, 3, 1, 1, 4]


def test_softmax_does_not_overflow():
    weights = reference.softmax(np.array([[1e30, -1e30], [-3e38, -3e38]], dtype=np.float32))
    assert weights.tolist() == [[1, 0], [0.5, 0.5]]


def test_threads_sets_the_number_of_blas_threads(engine):
    before = threadpoolctl.threadpool_info()
    try:
        for threads in (2, 1):
            ReferenceEngine(engine.spec, engine.weights, threads=threads)
            blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            assert set(blas) == {threads}  # SciPy has a BLAS of its own, if something has imported it.
    finally:
        threadpoolctl.threadpool_limits({pool["prefix"]: pool["num_threads"] for pool in before})
