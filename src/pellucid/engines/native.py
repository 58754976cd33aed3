"""The C++ core behind our rules: fast, and within rounding of the reference.

``native/`` has the arithmetic. It takes arrays and knows nothing of specs; what a spec and its weights mean in arrays,
which instruction set to use and how many threads, is settled here.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pellucid.engines.base import Engine
from pellucid.engines.reference import Turns, relative_buckets, rotary_turns
from pellucid.engines.threads import usable_processors
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.model.spec import BlockSpec, EncoderSpec, NormPlaces, NormSpec
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm, Norms
from pellucid.types import Float32, Int32, TokenBatch

CPU_VARIABLE = "PELLUCID_CPU"
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")
_NO_WINDOW = 1 << 30
_PackedNorm = tuple[Float32, Float32, float] | None
_MOST_THREADS = 1 << 14


class NativeEngine(Engine):
    """The encoder in C++.

    In float32 it is within rounding of the reference. In int16 and int8 the weights and what they are multiplied with
    are rounded to scaled integers, and the sums are exact; all else stays in float32. Weights are packed once, here,
    in a third form for each dtype, and the arrays that they came from are not kept, but for the embedding tables.

    Attributes:
        cpu: the instruction set at work: the best that this machine has, or what ``PELLUCID_CPU`` says.
        dtype: "float32", "int16" or "int8".
        threads: how many a call may use; by default, as many as there are usable processors.

    Raises:
        OptionError: ``PELLUCID_CPU`` names no instruction set of this machine, or there are absurdly many threads.
        UnsupportedModelError: an activation that the core does not have.
    """

    name = "native"

    def __init__(
        self, spec: EncoderSpec, weights: EncoderWeights, *, dtype: str = "float32", threads: int | None = None
    ) -> None:
        from pellucid import _native

        for block in spec.blocks:
            if (activation := block.feed_forward.activation) not in ACTIVATIONS:
                raise UnsupportedModelError(
                    f"the native engine has no activation {activation!r}, only {', '.join(ACTIVATIONS)}. "
                    f"engine='reference' has it."
                )
        self.spec = spec
        self.cpu = instruction_set()
        self.dtype = dtype
        self.threads = threads or usable_processors()
        if self.threads > _MOST_THREADS:
            raise OptionError(
                f"threads={threads} is more than any machine has; the native engine takes {_MOST_THREADS}."
            )
        self._has_types = weights.token_type is not None
        self._core = _native.Encoder(
            cpu=self.cpu,
            dtype=dtype,
            word=weights.word,
            position=weights.position,
            token_type=weights.token_type,
            norm=_norm(weights.embedding_norm, spec.embedding.norm),
            relative_bias=bias_by_distance(spec, weights),
        )
        attentions = [block.attention for block in spec.blocks]
        self._head_size = attentions[0].head_size
        bases = (attention.rotary_base for attention in attentions if attention.rotary_base is not None)
        self._rotary_bases = list(dict.fromkeys(bases))  # each once, in order
        for block, layer in zip(spec.blocks, weights.layers, strict=True):
            self._add_layer(block, layer)
        if weights.final_norm is not None and (final := _norm(weights.final_norm, spec.final_norm)) is not None:
            self._core.add_final_norm(final)

    def _add_layer(self, block: BlockSpec, layer: Layer) -> None:
        """Pack a layer."""
        attention = block.attention
        self._core.add_layer(
            query=_linear(layer.query),
            key=_linear(layer.key),
            value=_linear(layer.value),
            attention_output=_linear(layer.attention_output),
            attention_norms=_norms(layer.attention_norms, block.attention_norms),
            gate=_linear(layer.gate) if layer.gate else None,
            intermediate=_linear(layer.intermediate),
            output=_linear(layer.output),
            feed_forward_norms=_norms(layer.feed_forward_norms, block.feed_forward_norms),
            heads=attention.heads,
            kv_heads=attention.kv_heads,
            head_size=attention.head_size,
            activation=block.feed_forward.activation,
            window=_NO_WINDOW if attention.window is None else min(attention.window, _NO_WINDOW),
            turns=-1 if attention.rotary_base is None else self._rotary_bases.index(attention.rotary_base),
        )

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        positions = position_ids(batch, self.spec)
        lengths = batch.lengths
        longest = int(lengths.max(initial=1))
        turns = [_turns_for(longest, self._head_size, base) for base in self._rotary_bases]
        # A text without tokens, as "" is to a tokenizer without special ones, has no rows to be computed.
        offsets = batch.offsets if lengths.all() else batch.offsets[np.append(True, lengths > 0)]
        in_main_thread = threading.current_thread() is threading.main_thread()  # Only there does Ctrl-C arrive.
        segments = batch.segments if self._has_types else None
        self._core.token_vectors(batch.ids, positions, offsets, segments, turns, vectors, self.threads, in_main_thread)
        return vectors


def create(
    spec: EncoderSpec,
    weights: Callable[[], EncoderWeights],
    folder: Path,  # noqa: ARG001
    *,
    dtype: str,
    device: str,  # noqa: ARG001
    threads: int | None,
) -> NativeEngine:
    """See :class:`pellucid.engines.registry.Create`."""
    return NativeEngine(spec, weights(), dtype=dtype, threads=threads)


def _linear(layer: Linear) -> tuple[Float32, Float32]:
    return layer.weight, layer.bias


def _norm(norm: Norm | None, spec: NormSpec | None) -> tuple[Float32, Float32, float] | None:
    return None if norm is None or spec is None else (norm.weight, norm.bias, spec.eps)


def _norms(norms: Norms, places: NormPlaces) -> tuple[_PackedNorm, _PackedNorm, _PackedNorm]:
    """Before, after, and of the sum."""
    return _norm(norms.before, places.before), _norm(norms.after, places.after), _norm(norms.sum, places.sum)


def _turns_for(longest: int, head_size: int, base: float) -> Turns:
    """:func:`pellucid.engines.reference.rotary_turns` of at least ``longest`` places."""
    return _turns(1 << (longest - 1).bit_length(), head_size, base)


@functools.lru_cache(maxsize=16)
def _turns(places: int, head_size: int, base: float) -> Turns:
    return rotary_turns(places, head_size, base)


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
    padding = spec.embedding.padding_id
    if padding is None:
        return np.arange(len(batch.ids), dtype=np.int32) - starts
    counts = batch.ids != padding
    until = np.cumsum(np.insert(counts, 0, False), dtype=np.int32)
    positions: Int32 = (until[1:] - until[starts]) * counts + np.int32(padding)
    return positions


def bias_by_distance(spec: EncoderSpec, weights: EncoderWeights) -> Float32 | None:
    """The relative bias of each distance, key's place less query's: ``float32[heads, 2 * max_tokens - 1]``."""
    if weights.relative_bias is None or spec.relative_bias is None:
        return None
    distances = np.arange(1 - spec.max_tokens, spec.max_tokens)
    buckets = relative_buckets(distances, spec.relative_bias.buckets, spec.relative_bias.max_distance)
    return np.ascontiguousarray(weights.relative_bias[buckets].T)
