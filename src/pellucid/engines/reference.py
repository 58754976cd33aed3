"""The engine "reference": a transformer in NumPy, and Pellucid's definition of a correct result.

Every other engine is tested against this one. It is written to be read next to a picture of a transformer. It takes one
text at a time, so ``x`` is always ``float32[n, hidden]`` for the text's n tokens, without padding or a batch dimension.
The layers are those of "Attention Is All You Need" (Vaswani et al., 2017) and BERT (Devlin et al., 2018), with the
changes that later families made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pellucid.engines.base import Engine
from pellucid.layers.activations import ACTIVATIONS
from pellucid.layers.norms import layer_norm, rms_norm
from pellucid.layers.rotary import Turns, rotate
from pellucid.model.spec import (
    AttentionSpec,
    BlockSpec,
    DisentangledSpec,
    EncoderSpec,
    FeedForwardSpec,
    NormSpec,
)
from pellucid.model.stored import as_float32
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm
from pellucid.reprs import short_repr
from pellucid.types import Float32, Int8, Int32, Int64, TokenBatch


@dataclass(frozen=True, eq=False)
class Step:
    """The token vectors after one step of the encoder.

    Attributes:
        name: the step: "embedding", "layer 1", "layer 2", …, "final norm".
        vectors: the token vectors after the step, ``float32[n, hidden]``.
        attention: the attention weights of a layer, ``float32[heads, n, n]``: how much each token looks at each other
            one. Rows sum to 1. None if the step is not a layer.
    """

    name: str
    vectors: Float32
    attention: Float32 | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Places:
    """The relative positions of a text's tokens in a layer of DeBERTa.

    Attributes:
        keys: their keys, ``float32[heads, 2 * span, head_size]``; None if queries do not look at positions.
        queries: their queries; None if keys do not look at positions.
        numbers: ``int64[n, n]``, the number of the relative position of query i and key j.
    """

    keys: Float32 | None
    queries: Float32 | None
    numbers: Int64


class ReferenceEngine(Engine):
    """A transformer in NumPy, in float32.

    NumPy's BLAS library has one number of threads for the whole process. If ``threads`` is given, it sets that number.
    """

    name = "reference"
    reads_attended = True

    def __init__(self, spec: EncoderSpec, weights: EncoderWeights, *, threads: int | None = None) -> None:
        self.spec = spec
        self.weights = replace(weights, layers=tuple(weights.layers))  # Read all layers now, once.
        if threads is not None:
            import threadpoolctl  # type: ignore[import-untyped]

            threadpoolctl.threadpool_limits(limits=threads, user_api="blas")

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        spans = zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True)
        for text, (start, end) in enumerate(spans):
            if start < end:  # Without special tokens, an empty text has no tokens.
                segments = None if batch.segments is None else batch.segments[start:end]
                attended = None if batch.attended is None else int(batch.attended[text])
                *_, last = self.steps(batch.ids[start:end], segments, attended)
                vectors[start:end] = last.vectors
        return vectors

    def steps(self, ids: Int32, segments: Int8 | None = None, attended: int | None = None) -> Iterator[Step]:
        """Run one text, or one pair of texts, and show each step: the embedding, each layer, and any final norm.

        Args:
            ids: the token ids, ``int32[n]``.
            segments: the segment of each token, ``int8[n]``: 0 in the first text of a pair, 1 in the second. None if
                every token has segment 0.
            attended: tokens look only at this many tokens, the first ones; None if they look at all.
        """
        x = embed(ids, segments, self.spec, self.weights)
        yield Step("embedding", x)
        for number, (layer, block) in enumerate(zip(self.weights.layers, self.spec.blocks, strict=True), start=1):
            bias = attention_bias(len(ids), block.attention, self.spec, self.weights, attended)
            turns = attention_turns(len(ids), block.attention)
            places = relative_places(len(ids), layer, block.attention, self.spec, self.weights)
            x, attention_weights = transformer_layer(x, layer, bias, turns, places, block)
            yield Step(f"layer {number}", x, attention_weights)
        if self.weights.final_norm is not None:
            yield Step("final norm", norm(x, self.weights.final_norm, self.spec.final_norm))


def create(
    spec: EncoderSpec,
    weights: Callable[[], EncoderWeights],
    folder: Path,  # noqa: ARG001
    *,
    dtype: str,  # noqa: ARG001
    device: str,  # noqa: ARG001
    threads: int | None,
) -> ReferenceEngine:
    """See :class:`pellucid.engines.registry.Create`."""
    return ReferenceEngine(spec, weights(), threads=threads)


def embed(ids: Int32, segments: Int8 | None, spec: EncoderSpec, weights: EncoderWeights) -> Float32:
    """Turn each token id into a vector: the sum of its rows in the embedding tables, then normalized.

    A family whose tables have shorter rows has a linear layer here, which makes them as long as token vectors.

    Returns:
        ``float32[n, hidden]``.
    """
    rows = embedding_rows(ids, segments, spec, weights).values()
    x = norm(functools.reduce(np.add, rows), weights.embedding_norm, spec.embedding.norm)
    return x if weights.embedding_projection is None else linear(x, weights.embedding_projection)


def embedding_rows(ids: Int32, segments: Int8 | None, spec: EncoderSpec, weights: EncoderWeights) -> dict[str, Float32]:
    """Look up each token in each embedding table.

    Args:
        ids: the token ids, ``int32[n]``.
        segments: the segment of each token, ``int8[n]``; None if every token has segment 0.
        spec: the encoder's shape.
        weights: the encoder's weights, with the tables.

    Returns:
        ``float32[n, hidden]`` for each table that the encoder has: "word", "position", "token type". The rows are
        shorter if a linear layer follows.
    """
    word = weights.word[ids]
    rows = {"word": word if spec.embedding.scale == 1 else word * np.float32(spec.embedding.scale)}
    if weights.position is not None:
        rows["position"] = weights.position[position_ids(ids, spec)]
    if weights.token_type is not None:
        rows["token type"] = weights.token_type[np.zeros(len(ids), dtype=np.int8) if segments is None else segments]
    return rows


def transformer_layer(
    x: Float32, layer: Layer, bias: Float32 | None, turns: Turns | None, places: Places | None, spec: BlockSpec
) -> tuple[Float32, Float32]:
    """One transformer layer: first each token looks at the others, then each token is transformed by itself.

    Both sublayers add their result to their input. :class:`~pellucid.model.spec.NormPlaces` says where the norms are.

    Returns:
        The token vectors, ``float32[n, hidden]``, and the attention weights, ``float32[heads, n, n]``.
    """
    norms, specs = layer.attention_norms, spec.attention_norms
    before = norm(x, norms.before, specs.before)
    change, attention_weights = attention(before, layer, bias, turns, places, spec.attention)
    x = norm(x + norm(change, norms.after, specs.after), norms.sum, specs.sum)
    norms, specs = layer.feed_forward_norms, spec.feed_forward_norms
    change = feed_forward(norm(x, norms.before, specs.before), layer, spec.feed_forward)
    return norm(x + norm(change, norms.after, specs.after), norms.sum, specs.sum), attention_weights


def attention(
    x: Float32, layer: Layer, bias: Float32 | None, turns: Turns | None, places: Places | None, spec: AttentionSpec
) -> tuple[Float32, Float32]:
    """Multi-head self-attention: ``softmax(Q Kᵀ / √d + bias) V`` in each head. A spec may have another scale than √d.

    Args:
        x: the token vectors, ``float32[n, hidden]``.
        layer: the weights.
        bias: added to the scores, ``float32[heads or 1, n, n]``; see :func:`attention_bias`.
        turns: the rotations of queries and keys; see :func:`attention_turns`.
        places: the keys and queries of relative positions; see :func:`relative_places`.
        spec: the shape of the attention.

    Returns:
        What each token takes from the others, ``float32[n, hidden]``; and the attention weights, which are the softmax,
        ``float32[heads, n, n]``.
    """
    n = len(x)

    def split(linear_layer: Linear, heads: int) -> Float32:  # [heads, n, head_size]
        return linear(x, linear_layer).reshape(n, heads, spec.head_size).transpose(1, 0, 2)

    query = split(layer.query, spec.heads)
    key, value = split(layer.key, spec.kv_heads), split(layer.value, spec.kv_heads)
    query, key = norm(query, layer.query_norm, spec.qk_norm), norm(key, layer.key_norm, spec.qk_norm)
    if turns is not None:
        query, key = rotate(query, turns), rotate(key, turns)
    if spec.kv_heads != spec.heads:  # Several query heads share each key and value head.
        key, value = (np.repeat(array, spec.heads // spec.kv_heads, axis=0) for array in (key, value))
    if places is None:
        scores = query @ key.transpose(0, 2, 1)
        scores = scores / np.float32(np.sqrt(spec.head_size)) if spec.scale is None else scores * np.float32(spec.scale)
    else:
        scores = disentangled_scores(query, key, places)
    attention_weights = softmax(scores if bias is None else scores + bias)
    context = (attention_weights @ value).transpose(1, 0, 2).reshape(n, spec.query_size)
    return linear(context, layer.attention_output), attention_weights


def disentangled_scores(query: Float32, key: Float32, places: Places) -> Float32:
    """The attention scores of DeBERTa (He et al., 2021, equation 4): of tokens with tokens and with relative positions.

    Args:
        query: ``float32[heads, n, head_size]``.
        key: the same for keys.
        places: the relative positions.

    Returns:
        ``float32[heads, n, n]``, which the paper divides by the square root of the head size, and of the number of
        products.
    """
    n = query.shape[1]
    scores, products = query @ key.transpose(0, 2, 1), 1
    if places.keys is not None:
        by_place = query @ places.keys.transpose(0, 2, 1)  # [heads, n, 2 * span]
        scores, products = scores + by_place[:, np.arange(n)[:, None], places.numbers], products + 1
    if places.queries is not None:
        by_place = key @ places.queries.transpose(0, 2, 1)
        scores, products = scores + by_place[:, np.arange(n)[None, :], places.numbers], products + 1
    scores_scaled: Float32 = scores / np.float32(np.sqrt(query.shape[2] * products))
    return scores_scaled


def feed_forward(x: Float32, layer: Layer, spec: FeedForwardSpec) -> Float32:
    """Transform each token by itself: a linear layer to the intermediate size, the activation, a linear layer back.

    A gated feed-forward applies the activation to the gate instead, and multiplies the result with the intermediate
    vector, number by number.
    """
    activation = ACTIVATIONS[spec.activation]
    if layer.gate is None:
        return linear(activation(linear(x, layer.intermediate)), layer.output)
    return linear(activation(linear(x, layer.gate)) * linear(x, layer.intermediate), layer.output)


def linear(x: Float32, layer: Linear) -> Float32:
    """``x Wᵀ + b``. A weight that is stored in 16 bits becomes float32 here, so that a whole model never does."""
    y: Float32 = x @ as_float32(layer.weight).T
    return y + layer.bias


def norm(x: Float32, weights: Norm | None, spec: NormSpec | None) -> Float32:
    """Normalize each vector. If the encoder has no norm in this place, return the vectors unchanged."""
    if weights is None or spec is None:
        return x
    if spec.kind == "rms":
        return rms_norm(x, weights.weight, spec.eps)
    return layer_norm(x, weights.weight, weights.bias, spec.eps)


def softmax(scores: Float32) -> Float32:
    """The softmax over the last axis. There may be no rows. A row of minus infinities becomes zeros.

    The largest score of each row is subtracted first, so nothing overflows.
    """
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(scores - np.where(highest == -np.inf, 0, highest).astype(scores.dtype))
    sums = exponentials.sum(axis=-1, keepdims=True)
    weights: Float32 = exponentials / np.where(sums == 0, 1, sums).astype(sums.dtype)
    return weights


def position_ids(ids: Int32, spec: EncoderSpec) -> Int64:
    """The row of the position table for each token, ``int64[n]``.

    Most families count 0, 1, 2, …. Others follow fairseq's rule (``create_position_ids_from_input_ids`` in
    transformers): positions start at ``padding_id + 1``, and a padding token in the text has the position
    ``padding_id`` and is not counted.
    """
    padding = spec.embedding.padding_id
    if padding is None:
        return np.arange(len(ids), dtype=np.int64)
    is_counted = ids != padding
    positions: Int64 = np.cumsum(is_counted, dtype=np.int64) * is_counted + padding
    return positions


def attention_bias(
    n: int, attention: AttentionSpec, spec: EncoderSpec, weights: EncoderWeights, attended: int | None = None
) -> Float32 | None:
    """What a layer adds to its attention scores, for a text of ``n`` tokens, of which the first ``attended`` count.

    Returns:
        ``float32[heads or 1, n, n]``: the relative bias for the distance of two tokens, and minus infinity for tokens
        that are not looked at: those too far before or after, and those that do not count. None if there is nothing to
        add.
    """
    distances = np.arange(n)[None, :] - np.arange(n)[:, None]
    bias: Float32 | None = None
    if weights.relative_bias is not None and spec.relative_bias is not None:
        buckets = relative_buckets(distances, spec.relative_bias.buckets, spec.relative_bias.max_distance)
        bias = weights.relative_bias[buckets].transpose(2, 0, 1)
    if attention.has_window or attended is not None:
        is_hidden = np.broadcast_to(np.arange(n) >= (n if attended is None else attended), (n, n))
        if attention.before is not None:
            is_hidden = is_hidden | (distances < -attention.before)
        if attention.after is not None:
            is_hidden = is_hidden | (distances > attention.after)
        mask: Float32 = np.where(is_hidden, np.float32(-np.inf), np.float32(0))[None]
        bias = mask if bias is None else bias + mask
    return bias


def relative_places(
    n: int, layer: Layer, attention: AttentionSpec, spec: EncoderSpec, weights: EncoderWeights
) -> Places | None:
    """The keys and queries of relative positions in a layer of DeBERTa; None in other families."""
    if spec.disentangled is None or weights.relative_positions is None:
        return None

    def split(linear_layer: Linear | None) -> Float32 | None:  # [heads, 2 * span, head_size]
        if linear_layer is None or weights.relative_positions is None:
            return None
        vectors = linear(weights.relative_positions, linear_layer)
        return vectors.reshape(len(vectors), attention.heads, attention.head_size).transpose(1, 0, 2)

    distances = np.arange(n)[:, None] - np.arange(n)[None, :]
    return Places(split(layer.position_key), split(layer.position_query), place_numbers(distances, spec.disentangled))


def place_numbers(distances: Int64, spec: DisentangledSpec) -> Int64:
    """The number of the relative position for each signed distance, query minus key, from 0 to ``2 * span - 1``.

    Up to half of the buckets, each distance has a position of its own. Longer ones share positions on a logarithmic
    scale, as in ``make_log_bucket_position`` of transformers, whose arithmetic is in float32.
    """
    numbers = distances
    if spec.buckets is not None:
        middle = spec.buckets // 2
        size = np.maximum(np.abs(distances), middle).astype(np.float32)
        scale = np.log(np.float32((spec.max_distance - 1) / middle))
        shared = np.ceil(np.log(size / np.float32(middle)) / scale * np.float32(middle - 1)) + middle
        numbers = np.where(np.abs(distances) <= middle, distances, (shared * np.sign(distances)).astype(np.int64))
    return np.clip(numbers + spec.span, 0, 2 * spec.span - 1)


def attention_turns(n: int, attention: AttentionSpec) -> Turns | None:
    """The rotations of a layer's queries and keys, for a text of ``n`` tokens; None if the layer has no rotations."""
    return None if attention.rotary is None else attention.rotary.turns(n, attention.head_size)


def relative_buckets(distances: Int64, buckets: int, max_distance: int) -> Int64:
    """The bucket of each signed distance from query to key (Raffel et al., "T5", 2020).

    Half of the buckets are for keys after the query, and half for keys before it. In each half, small distances have a
    bucket each. Larger distances share buckets, which grow wider on a logarithmic scale.
    """
    half = buckets // 2
    exact = half // 2
    size = np.abs(distances)
    # In float32, as in PyTorch: at powers of two, the last bit decides the bucket.
    log_size = np.log(np.maximum(size, 1).astype(np.float32) / np.float32(exact))
    fraction = log_size / np.float32(np.log(max_distance / exact))
    shared = exact + (fraction * np.float32(half - exact)).astype(np.int64)
    return np.where(distances > 0, half, 0) + np.where(size < exact, size, np.minimum(shared, half - 1))
