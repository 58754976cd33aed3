"""The C++ core behind our rules: fast, and within rounding of the reference.

``native/`` has the arithmetic. It takes arrays and knows nothing of specs; what a spec and its weights mean in arrays,
which instruction set to use and how many threads, is settled here.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from pellucid.engines.base import Engine
from pellucid.engines.reference import Turns, relative_buckets, rotary_turns
from pellucid.engines.threads import usable_processors
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.model.spec import EncoderSpec
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm
from pellucid.types import Float32, Int32, TokenBatch

CPU_VARIABLE = "PELLUCID_CPU"
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")
_NO_WINDOW = 1 << 30
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

        if spec.activation not in ACTIVATIONS:
            raise UnsupportedModelError(
                f"the native engine has no activation {spec.activation!r}, only {', '.join(ACTIVATIONS)}. "
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
        self._core = _native.Encoder(
            cpu=self.cpu,
            dtype=dtype,
            heads=spec.heads,
            activation=spec.activation,
            layer_norm_eps=spec.layer_norm_eps,
            norm_first=spec.norm_first,
            word=weights.word,
            position=weights.position,
            token_type=None if weights.token_type is None else weights.token_type[0],
            norm=_norm(weights.embedding_norm),
            relative_bias=bias_by_distance(spec, weights),
        )
        bases = (layer.rotary_base for layer in spec.attention if layer.rotary_base is not None)
        self._rotary_bases = list(dict.fromkeys(bases))  # each once, in order
        for number, (layer, following) in enumerate(_with_following(weights.layers)):
            self._add_layer(number, layer, following, weights.final_norm)

    def _add_layer(self, number: int, layer: Layer, following: Layer | None, final_norm: Norm | None) -> None:
        """Pack a layer. In the core, a norm always follows a sum. One that comes before the attention or the
        feed-forward follows the sum before that: in this layer, in the layer before, or after the last.
        """
        norms = [layer.attention_norm, layer.feed_forward_norm]
        if self.spec.norm_first:
            norms = [layer.feed_forward_norm, following.attention_norm if following else final_norm]
        own = self.spec.attention_of(number)
        self._core.add_layer(
            query=_linear(layer.query),
            key=_linear(layer.key),
            value=_linear(layer.value),
            attention_output=_linear(layer.attention_output),
            attention_norm=_norm(norms[0]),
            gate=_linear(layer.gate) if layer.gate else None,
            intermediate=_linear(layer.intermediate),
            output=_linear(layer.output),
            feed_forward_norm=_norm(norms[1]),
            window=_NO_WINDOW if own.window is None else min(own.window, _NO_WINDOW),
            turns=-1 if own.rotary_base is None else self._rotary_bases.index(own.rotary_base),
        )

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        vectors = np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32)
        positions = position_ids(batch, self.spec)
        lengths = batch.lengths
        longest = int(lengths.max(initial=1))
        turns = [_turns_for(longest, self.spec.head_size, base) for base in self._rotary_bases]
        # A text without tokens, as "" is to a tokenizer without special ones, has no rows to be computed.
        offsets = batch.offsets if lengths.all() else batch.offsets[np.append(True, lengths > 0)]
        in_main_thread = threading.current_thread() is threading.main_thread()  # Only there does Ctrl-C arrive.
        self._core.token_vectors(batch.ids, positions, offsets, turns, vectors, self.threads, in_main_thread)
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


def _with_following(layers: Iterable[Layer]) -> Iterator[tuple[Layer, Layer | None]]:
    """Each layer with the next one, which may not be read from its file twice."""
    iterator = iter(layers)
    layer = next(iterator, None)
    while layer is not None:
        following = next(iterator, None)
        yield layer, following
        layer = following


def _linear(layer: Linear) -> tuple[Float32, Float32]:
    return layer.weight, layer.bias


def _norm(norm: Norm | None) -> tuple[Float32, Float32]:
    if norm is None:
        raise AssertionError("every sum is followed by a norm; a family without one needs a change of the core")
    return norm.weight, norm.bias


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
