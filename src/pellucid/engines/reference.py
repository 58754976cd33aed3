"""The definition of correct: a transformer encoder in NumPy, to be read beside a picture of one.

Every other engine is tested against this one. One text at a time, so ``x`` is always ``float32[n, hidden]``: n
tokens, and no padding, no mask, no batch. Post-norm layers as in "Attention Is All You Need" (Vaswani et al., 2017)
and BERT (Devlin et al., 2018).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pellucid.activations import ACTIVATIONS
from pellucid.head import layer_norm
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm
from pellucid.types import Float32, Int32, Int64, TokenBatch


class ReferenceEngine:
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
        for start, ids in zip(batch.offsets.tolist(), batch, strict=False):
            vectors[start : start + len(ids)] = self.encode(ids)
        return vectors

    def encode(self, ids: Int32) -> Float32:
        """One text: ``int32[n]`` to ``float32[n, hidden]``."""
        x = embed(ids, self.spec, self.weights)
        bias = relative_bias(len(ids), self.spec, self.weights)
        for layer in self.weights.layers:
            x = transformer_layer(x, layer, bias, self.spec)
        return x


def embed(ids: Int32, spec: EncoderSpec, weights: EncoderWeights) -> Float32:
    """Look up each token: word + position + token type, then layer normalisation. ``float32[n, hidden]``."""
    x = weights.word[ids] + weights.position[position_ids(ids, spec)]
    if weights.token_type is not None:
        x = x + weights.token_type[0]
    return norm(x, weights.embedding_norm, spec)


def transformer_layer(x: Float32, layer: Layer, bias: Float32 | None, spec: EncoderSpec) -> Float32:
    """Tokens look at each other, then each thinks for itself; after each step, add the input and normalise."""
    x = norm(x + attention(x, layer, bias, spec), layer.attention_norm, spec)
    return norm(x + feed_forward(x, layer, spec), layer.output_norm, spec)


def attention(x: Float32, layer: Layer, bias: Float32 | None, spec: EncoderSpec) -> Float32:
    """Multi-head self-attention: ``softmax(Q Kᵀ / √d + bias) V`` in each head. ``float32[n, hidden]``."""
    n = len(x)

    def heads(linear_layer: Linear) -> Float32:  # [heads, n, head_size]
        return linear(x, linear_layer).reshape(n, spec.heads, spec.head_size).transpose(1, 0, 2)

    scores = heads(layer.query) @ heads(layer.key).transpose(0, 2, 1) / np.float32(np.sqrt(spec.head_size))
    weights = softmax(scores if bias is None else scores + bias)  # [heads, n, n]: how much each token looks at each
    context = (weights @ heads(layer.value)).transpose(1, 0, 2).reshape(n, spec.hidden_size)
    return linear(context, layer.attention_output)


def feed_forward(x: Float32, layer: Layer, spec: EncoderSpec) -> Float32:
    """Each token alone: to the intermediate size, through the activation, and back."""
    return linear(ACTIVATIONS[spec.activation](linear(x, layer.intermediate)), layer.output)


def linear(x: Float32, layer: Linear) -> Float32:
    """``x Wᵀ + b``."""
    y: Float32 = x @ layer.weight.T
    return y + layer.bias


def norm(x: Float32, weights: Norm, spec: EncoderSpec) -> Float32:
    """Layer normalisation of each token's vector."""
    return layer_norm(x, weights.weight, weights.bias, spec.layer_norm_eps)


def softmax(scores: Float32) -> Float32:
    """Along the last axis; each row is shifted by its largest score, so nothing overflows."""
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights: Float32 = exponents / exponents.sum(axis=-1, keepdims=True)
    return weights


def position_ids(ids: Int32, spec: EncoderSpec) -> Int64:
    """The row of the position table for each token, ``int64[n]``.

    Plainly 0, 1, 2, …; or by fairseq's rule (``create_position_ids_from_input_ids`` in transformers), in which a
    padding token that was typed in the text has no position of its own and does not count.
    """
    if spec.padding_id is None:
        return np.arange(len(ids), dtype=np.int64)
    counts = ids != spec.padding_id
    positions: Int64 = np.cumsum(counts, dtype=np.int64) * counts + spec.padding_id
    return positions


def relative_bias(n: int, spec: EncoderSpec, weights: EncoderWeights) -> Float32 | None:
    """What is added to the attention scores for the distance between two tokens: ``float32[heads, n, n]``, or None."""
    if weights.relative_bias is None:
        return None
    places = np.arange(n)
    buckets = relative_buckets(places[None, :] - places[:, None], spec.relative_buckets, spec.relative_max_distance)
    return weights.relative_bias[buckets].transpose(2, 0, 1)


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
