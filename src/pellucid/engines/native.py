"""The C++ core behind our rules: fast, and within rounding of the reference.

``native/`` has the arithmetic. It takes arrays and trusts their shapes; what a spec and its weights mean in arrays, and
which instruction set and how many threads to use, is settled here.
"""

from __future__ import annotations

import os

import numpy as np

from pellucid.engines.reference import position_ids, relative_buckets
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.types import Float32, TokenBatch


class NativeEngine:
    """The encoder in C++: float32, int16 or int8, on any number of threads.
    """

    name = "native"

    def __init__(
        self, spec: EncoderSpec, weights: EncoderWeights, *, dtype: str = "float32", threads: int | None = None
    ) -> None:
        from pellucid import _native
        self.spec = spec
        self.cpu = os.environ.get("PELLUCID_CPU") or _native.instruction_sets()[0]
        self.dtype = dtype
        self.threads = threads or 2
        self._core = _native.Encoder(
            cpu=self.cpu,
            dtype=dtype,
            heads=spec.heads,
            intermediate=spec.intermediate_size,
            activation=spec.activation,
            layer_norm_eps=spec.layer_norm_eps,
            word=weights.word,
            position=weights.position,
            token_type=None if weights.token_type is None else weights.token_type[0],
            norm_weight=weights.embedding_norm.weight,
            norm_bias=weights.embedding_norm.bias,
            relative_bias=_bias_by_distance(spec, weights),
        )
        for layer in weights.layers:
            parts = (layer.query, layer.key, layer.value, layer.attention_output, layer.attention_norm,
                     layer.intermediate, layer.output, layer.output_norm)
            self._core.add_layer(*(array for part in parts for array in (part.weight, part.bias)))

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        positions = np.concatenate([position_ids(ids, self.spec) for ids in batch]).astype(np.int32) if len(batch) else np.empty(0, np.int32)
        self._core.token_vectors(batch.ids, positions, batch.offsets, vectors, self.threads)
        return vectors


def _bias_by_distance(spec: EncoderSpec, weights: EncoderWeights) -> Float32 | None:
    """The relative bias of each distance, key's place less query's: ``float32[heads, 2 · max_tokens - 1]``."""
    if weights.relative_bias is None:
        return None
    distances = np.arange(1 - spec.max_tokens, spec.max_tokens)
    buckets = relative_buckets(distances, spec.relative_buckets, spec.relative_max_distance)
    return np.ascontiguousarray(weights.relative_bias[buckets].T)
