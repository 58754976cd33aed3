"""The C++ core behind our rules: fast, and within rounding of the reference.

``native/`` has the arithmetic. It takes arrays and knows nothing of specs; what a spec and its weights mean in arrays,
which instruction set to use and how many threads, is settled here.
"""

from __future__ import annotations

import os

import numpy as np

from pellucid.engines.reference import relative_buckets
from pellucid.engines.threads import usable_processors
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights
from pellucid.types import Float32, Int32, TokenBatch

CPU_VARIABLE = "PELLUCID_CPU"
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")


class NativeEngine:
    """The encoder in C++.

    In float32 it is within rounding of the reference. In int16 and int8 the weights and what they are multiplied with
    are rounded to scaled integers, and the sums are exact; all else stays in float32. Weights are packed once, here,
    in a third form for each dtype, and the arrays that they came from are not kept, but for the embedding tables.

    Attributes:
        cpu: the instruction set at work: the best that this machine has, or what ``PELLUCID_CPU`` says.
        dtype: "float32", "int16" or "int8".
        threads: how many a call may use; by default, as many as there are usable processors.

    Raises:
        OptionError: ``PELLUCID_CPU`` names no instruction set of this machine.
        UnsupportedModelError: an activation that the core does not have.
    """

    name = "native"

    def __init__(
        self, spec: EncoderSpec, weights: EncoderWeights, *, dtype: str = "float32", threads: int | None = None
    ) -> None:
        from pellucid import _native

        if spec.activation not in ACTIVATIONS:
            raise UnsupportedModelError(
                f"the native engine has no activation {spec.activation!r}, only {', '.join(ACTIVATIONS)}. "
                f"engine='reference' has it."
            )
        self.spec = spec
        self.cpu = instruction_set()
        self.dtype = dtype
        self.threads = threads or usable_processors()
        self._core = _native.Encoder(
            cpu=self.cpu,
            dtype=dtype,
            heads=spec.heads,
            activation=spec.activation,
            layer_norm_eps=spec.layer_norm_eps,
            word=weights.word,
            position=weights.position,
            token_type=None if weights.token_type is None else weights.token_type[0],
            norm_weight=weights.embedding_norm.weight,
            norm_bias=weights.embedding_norm.bias,
            relative_bias=bias_by_distance(spec, weights),
        )
        for layer in weights.layers:
            self._core.add_layer(
                *(layer.query.weight, layer.query.bias),
                *(layer.key.weight, layer.key.bias),
                *(layer.value.weight, layer.value.bias),
                *(layer.attention_output.weight, layer.attention_output.bias),
                *(layer.attention_norm.weight, layer.attention_norm.bias),
                *(layer.intermediate.weight, layer.intermediate.bias),
                *(layer.output.weight, layer.output.bias),
                *(layer.output_norm.weight, layer.output_norm.bias),
            )

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        self._core.token_vectors(batch.ids, position_ids(batch, self.spec), batch.offsets, vectors, self.threads)
        return vectors


def instruction_set() -> str:
    """The instruction set to use: the best of this machine, or the one that ``PELLUCID_CPU`` names.

    Raises:
        OptionError: this machine has none of that name.
    """
    wanted = os.environ.get(CPU_VARIABLE, available()[0])
    if wanted not in available():
        raise OptionError(f"{CPU_VARIABLE}={wanted!r} is not one of this machine's: {', '.join(available())}.")
    return wanted


def available() -> list[str]:
    """The instruction sets of this machine that there are kernels for, best first; the last is always "scalar"."""
    from pellucid import _native

    return _native.instruction_sets()


def peaks(threads: int, *, seconds: float = 0.5) -> dict[str, float]:
    """What this machine can do at best, for rooflines, in GFLOP/s, two operations to a multiply-add.

    Args:
        threads: how many work at once.
        seconds: how long each is measured.

    Returns:
        ``"multiply_add"``, float32 out of registers; and for each dtype the packed matrix product alone, in cache.
    """
    from pellucid import _native

    cpu = instruction_set()
    products = {dtype: _native.product_peak(cpu, dtype, threads, seconds) for dtype in ("float32", "int16", "int8")}
    return {"multiply_add": _native.multiply_add_peak(cpu, threads, seconds), **products}


def position_ids(batch: TokenBatch, spec: EncoderSpec) -> Int32:
    """:func:`pellucid.engines.reference.position_ids` of all texts at once, ``int32[T]``."""
    starts = np.repeat(batch.offsets[:-1], batch.lengths)
    if spec.padding_id is None:
        return np.arange(len(batch.ids), dtype=np.int32) - starts
    counts = batch.ids != spec.padding_id
    until = np.cumsum(np.insert(counts, 0, False), dtype=np.int32)
    positions: Int32 = (until[1:] - until[starts]) * counts + np.int32(spec.padding_id)
    return positions


def bias_by_distance(spec: EncoderSpec, weights: EncoderWeights) -> Float32 | None:
    """The relative bias of each distance, key's place less query's: ``float32[heads, 2 * max_tokens - 1]``."""
    if weights.relative_bias is None:
        return None
    distances = np.arange(1 - spec.max_tokens, spec.max_tokens)
    buckets = relative_buckets(distances, spec.relative_buckets, spec.relative_max_distance)
    return np.ascontiguousarray(weights.relative_bias[buckets].T)
