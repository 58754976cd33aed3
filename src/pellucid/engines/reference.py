"""The definition of correct: a transformer encoder in NumPy, to be read beside a picture of one.

Every other engine is tested against this one. One text at a time, so ``x`` is always ``float32[n, hidden]``: n
tokens, and no padding, no batch. The layers are those of "Attention Is All You Need" (Vaswani et al., 2017) and BERT
(Devlin et al., 2018), and what later families changed in them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pellucid.engines.base import Engine
from pellucid.layers.activations import ACTIVATIONS
from pellucid.layers.norms import layer_norm
from pellucid.model.spec import AttentionSpec, BlockSpec, EncoderSpec, FeedForwardSpec, NormSpec
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm
from pellucid.types import Float32, Int8, Int32, Int64, TokenBatch

Turns = tuple[Float32, Float32]
"""Cosines and sines, each ``float32[n, head_size / 2]``."""


@dataclass(frozen=True, eq=False)
class Step:
    """What there is after one step.

    Attributes:
        name: of the step.
        vectors: the token vectors, ``float32[n, hidden]``.
        attention: of a layer, how much each token looks at each other, ``float32[heads, n, n]``; rows sum to 1.
    """

    name: str
    vectors: Float32
    attention: Float32 | None = None


class ReferenceEngine(Engine):
    """The encoder in NumPy, in float32.

    ``threads`` is NumPy's own: its BLAS library has one number of threads for the whole process, which is set here
    if it is given.
    """

    name = "reference"

    def __init__(self, spec: EncoderSpec, weights: EncoderWeights, *, threads: int | None = None) -> None:
        self.spec = spec
        self.weights = replace(weights, layers=tuple(weights.layers))  # all of them, read once
        if threads is not None:
            import threadpoolctl  # type: ignore[import-untyped]

            threadpoolctl.threadpool_limits(limits=threads, user_api="blas")

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        for start, end in zip(batch.offsets[:-1].tolist(), batch.offsets[1:].tolist(), strict=True):
            if start < end:  # Without special tokens, "" has none.
                segments = None if batch.segments is None else batch.segments[start:end]
                *_, last = self.steps(batch.ids[start:end], segments)
                vectors[start:end] = last.vectors
        return vectors

    def steps(self, ids: Int32, segments: Int8 | None = None) -> Iterator[Step]:
        """One text, or a pair, on its way: the embedding, each layer, and the final norm if there is one.

        Args:
            ids: ``int32[n]``.
            segments: the type of each token, ``int8[n]``; None if all are of type 0.
        """
        x = embed(ids, segments, self.spec, self.weights)
        yield Step("embedding", x)
        for number, layer in enumerate(self.weights.layers):
            bias, turns = places(len(ids), number, self.spec, self.weights)
            x, looks = transformer_layer(x, layer, bias, turns, self.spec.blocks[number])
            yield Step(f"layer {number + 1}", x, looks)
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
    """Look up each token: word + position + token type, then layer normalisation. ``float32[n, hidden]``."""
    rows = lookups(ids, segments, spec, weights).values()
    return norm(functools.reduce(np.add, rows), weights.embedding_norm, spec.embedding.norm)


def lookups(ids: Int32, segments: Int8 | None, spec: EncoderSpec, weights: EncoderWeights) -> dict[str, Float32]:
    """The rows of each table for each token, by the table's name: ``float32[n, hidden]``, as far as there are tables.

    Without ``segments``, all tokens are of type 0; type 1 is for the second text of a pair.
    """
    rows = {"word": weights.word[ids]}
    if weights.position is not None:
        rows["position"] = weights.position[position_ids(ids, spec)]
    if weights.token_type is not None:
        rows["token type"] = weights.token_type[np.zeros(len(ids), dtype=np.int8) if segments is None else segments]
    return rows


def transformer_layer(
    x: Float32, layer: Layer, bias: Float32 | None, turns: Turns | None, spec: BlockSpec
) -> tuple[Float32, Float32]:
    """Tokens look at each other, then each thinks for itself. What comes out of a step is added to what went into it;
    :class:`~pellucid.model.spec.NormPlaces` says where norms stand.

    Returns:
        The token vectors, ``float32[n, hidden]``, and who looked at whom, ``float32[heads, n, n]``.
    """
    norms, places = layer.attention_norms, spec.attention_norms
    change, looks = attention(norm(x, norms.before, places.before), layer, bias, turns, spec.attention)
    x = norm(x + norm(change, norms.after, places.after), norms.sum, places.sum)
    norms, places = layer.feed_forward_norms, spec.feed_forward_norms
    change = feed_forward(norm(x, norms.before, places.before), layer, spec.feed_forward)
    return norm(x + norm(change, norms.after, places.after), norms.sum, places.sum), looks


def attention(
    x: Float32, layer: Layer, bias: Float32 | None, turns: Turns | None, spec: AttentionSpec
) -> tuple[Float32, Float32]:
    """Multi-head self-attention: ``softmax(Q Kᵀ / √d + bias) V`` in each head.

    Returns:
        What each token takes from the others, ``float32[n, hidden]``, and how much it looked at each: the softmax,
        ``float32[heads, n, n]``.
    """
    n = len(x)

    def heads(linear_layer: Linear) -> Float32:  # [heads, n, head_size]
        return linear(x, linear_layer).reshape(n, -1, spec.head_size).transpose(1, 0, 2)

    query, key, value = heads(layer.query), heads(layer.key), heads(layer.value)
    if turns is not None:
        query, key = rotate(query, turns), rotate(key, turns)
    if spec.kv_heads != spec.heads:  # Each serves several that query.
        key, value = (np.repeat(each, spec.heads // spec.kv_heads, axis=0) for each in (key, value))
    scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(spec.head_size))
    looks = softmax(scores if bias is None else scores + bias)
    context = (looks @ value).transpose(1, 0, 2).reshape(n, spec.query_size)
    return linear(context, layer.attention_output), looks


def feed_forward(x: Float32, layer: Layer, spec: FeedForwardSpec) -> Float32:
    """Each token alone: to the intermediate size, through the activation, and back. With a gate, it is the gate that
    goes through the activation, and then lets the rest pass, number by number.
    """
    activation = ACTIVATIONS[spec.activation]
    if layer.gate is None:
        return linear(activation(linear(x, layer.intermediate)), layer.output)
    return linear(activation(linear(x, layer.gate)) * linear(x, layer.intermediate), layer.output)


def linear(x: Float32, layer: Linear) -> Float32:
    """``x Wᵀ + b``."""
    y: Float32 = x @ layer.weight.T
    return y + layer.bias


def norm(x: Float32, weights: Norm | None, spec: NormSpec | None) -> Float32:
    """The normalisation of each token's vector; where there is none, the vectors as they are."""
    if weights is None or spec is None:
        return x
    return layer_norm(x, weights.weight, weights.bias, spec.eps)


def softmax(scores: Float32) -> Float32:
    """Along the last axis; each row is shifted by its largest score, so nothing overflows. A text may have no rows."""
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True, initial=-np.inf))
    weights: Float32 = exponents / exponents.sum(axis=-1, keepdims=True)
    return weights


def position_ids(ids: Int32, spec: EncoderSpec) -> Int64:
    """The row of the position table for each token, ``int64[n]``.

    Plainly 0, 1, 2, …; or by fairseq's rule (``create_position_ids_from_input_ids`` in transformers), in which a
    padding token that was typed in the text has no position of its own and does not count.
    """
    padding = spec.embedding.padding_id
    if padding is None:
        return np.arange(len(ids), dtype=np.int64)
    counts = ids != padding
    positions: Int64 = np.cumsum(counts, dtype=np.int64) * counts + padding
    return positions


def places(n: int, layer: int, spec: EncoderSpec, weights: EncoderWeights) -> tuple[Float32 | None, Turns | None]:
    """How the tokens of a text know where they stand in the attention of layer number ``layer``.

    Returns:
        What is added to the scores, ``float32[heads or 1, n, n]``: a bias for the distance of two tokens, and minus
        infinity beyond the window; and the turns of queries and keys. Each is None if the family has no such thing.
    """
    own = spec.blocks[layer].attention
    distances = np.arange(n)[None, :] - np.arange(n)[:, None]
    bias: Float32 | None = None
    if weights.relative_bias is not None and spec.relative_bias is not None:
        buckets = relative_buckets(distances, spec.relative_bias.buckets, spec.relative_bias.max_distance)
        bias = weights.relative_bias[buckets].transpose(2, 0, 1)
    if own.window is not None:
        far = np.where(np.abs(distances) > own.window, np.float32(-np.inf), np.float32(0))[None]
        bias = far if bias is None else bias + far
    return bias, rotary_turns(n, own.head_size, own.rotary_base) if own.rotary_base is not None else None


def rotary_turns(n: int, head_size: int, base: float) -> Turns:
    """The rotations of Su et al., "RoFormer" (2021): at place p, pair i is turned by ``p / base^(2i / head_size)``.

    Returns:
        Cosines and sines, each ``float32[n, head_size / 2]``.
    """
    exponents = (np.arange(0, head_size, 2) / head_size).astype(np.float32)
    # Rounded to float32 where PyTorch rounds: a thousand places on, the last bit of a rate is in the fourth decimal.
    rates = np.float32(1) / np.power(base, exponents.astype(np.float64)).astype(np.float32)
    angles = (np.arange(n, dtype=np.float32)[:, None] * rates).astype(np.float64)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(x: Float32, turns: Turns) -> Float32:
    """Turn ``[heads, n, head_size]``; number i of a head makes a pair with number i of its second half."""
    cos, sin = turns
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def relative_buckets(distances: Int64, buckets: int, max_distance: int) -> Int64:
    """The bucket of each signed distance (Raffel et al., "T5", 2020): half the buckets for tokens ahead, half for
    those behind; near ones have a bucket each, and farther ones share, ever more of them, on a logarithmic scale.
    """
    half = buckets // 2
    exact = half // 2
    far = np.abs(distances)
    # In float32, as PyTorch does it: at powers of two the last bit decides the bucket.
    ratio = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact)) / np.float32(np.log(max_distance / exact))
    shared = exact + (ratio * np.float32(half - exact)).astype(np.int64)
    return np.where(distances > 0, half, 0) + np.where(far < exact, far, np.minimum(shared, half - 1))
