"""The engine "native": the C++ core, fast, and within rounding of the reference.

The arithmetic is in ``native/``. That code takes arrays and knows nothing of specs. This file turns a spec and its
weights into those arrays, and chooses the instruction set and the number of threads.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from pellucid.engines.base import TOKENS_PER_CALL, Engine
from pellucid.engines.dtypes import NATIVE_DTYPES
from pellucid.engines.reference import linear, place_numbers, relative_buckets
from pellucid.engines.threads import MAX_THREADS, usable_processors
from pellucid.errors import OptionError, UnsupportedModelError
from pellucid.layers.dense import Dense
from pellucid.layers.finish import Finish, Pool, Several
from pellucid.layers.rotary import Rotary, Turns
from pellucid.layers.vocabulary import Together, VocabularyHead, VocabularyPool
from pellucid.model.spec import BlockSpec, EncoderSpec, NormPlaces, NormSpec
from pellucid.model.stored import StoredNumbers
from pellucid.model.weights import EncoderWeights, Layer, Linear, Norm, Norms
from pellucid.types import Float32, Int32, MultiVectors, TokenBatch
from pellucid.vectors import maxsim as lines

if TYPE_CHECKING:
    from pellucid import _native

Result = TypeVar("Result")

CPU_VARIABLE = "PELLUCID_CPU"
"""The environment variable that chooses the instruction set."""
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")
"""The activations that the core has."""
_NO_LIMIT = 1 << 30
"""How far tokens look that look at all: farther than any text is long."""
_TOKENS_PER_THREAD = 2048
"""In one call: so many that the end of a call, where some threads have nothing left to do, takes a small part of it."""
_MOST_TOKENS_PER_CALL = 1 << 17
"""Of any number of threads. That bounds the memory of a call: so many vectors of 768 floats are 400 MB."""
_NormArrays = tuple[Float32, Float32 | None, float] | None
"""Weight, bias and epsilon. A root mean square norm has no bias."""


class NativeEngine(Engine):
    """A transformer in C++.

    In float32, its results are within rounding of the reference. In int16 and int8, the weights and the vectors that
    they are multiplied with are rounded to scaled integers. In int4, weights have 4 bits, and vectors 8. The sums of
    their products are exact, and everything else stays in float32. In bfloat16, both are rounded to 8 significant
    bits, and their products are summed in float32.

    The weights are packed once, here, layer by layer, into the layout that the dtype needs. The original arrays are not
    kept, except for the embedding tables. The table of token vectors stays mapped from the file, as it is stored there.

    Attributes:
        cpu: the instruction set in use: the best that this machine supports, or the one named by ``PELLUCID_CPU``.
        dtype: "float32", "int16", "int8", "int4" or "bfloat16".
        threads: the most threads that a call may use; by default, all available CPU cores.

    Raises:
        OptionError: ``PELLUCID_CPU`` names an instruction set that this machine does not support, or ``threads``
            exceeds the limit of 16,384.
        UnsupportedModelError: the core does not have one of the activations.
    """

    name = "native"
    reads_attended = True

    def __init__(
        self, spec: EncoderSpec, weights: EncoderWeights, *, dtype: str = "float32", threads: int | None = None
    ) -> None:
        from pellucid import _native

        for block in spec.blocks:
            if (activation := block.feed_forward.activation) not in ACTIVATIONS:
                raise UnsupportedModelError(
                    f"engine='native' does not support the activation {activation!r}, only {', '.join(ACTIVATIONS)}. "
                    f"Choose engine='reference'."
                )
        self.spec = spec
        self.cpu = instruction_set()
        self.dtype = dtype
        self.threads = threads or usable_processors()
        if self.threads > MAX_THREADS:
            raise OptionError(
                f"threads={threads} exceeds the limit of {MAX_THREADS:,} of engine='native'. Choose fewer.", "threads"
            )
        self.tokens_per_call = min(max(TOKENS_PER_CALL, _TOKENS_PER_THREAD * self.threads), _MOST_TOKENS_PER_CALL)
        self._heads: weakref.WeakKeyDictionary[VocabularyHead, _native.Vocabulary] = weakref.WeakKeyDictionary()
        self._heads_lock = threading.Lock()
        self._has_token_types = weights.token_type is not None
        self._core = _native.Encoder(
            cpu=self.cpu,
            dtype=dtype,
            word=weights.word.rows,
            position=weights.position,
            token_type=weights.token_type,
            norm=_norm_arrays(weights.embedding_norm, spec.embedding.norm),
            projection=None if weights.embedding_projection is None else _linear_arrays(weights.embedding_projection),
            relative_bias=bias_by_distance(spec, weights),
            places=places_by_distance(spec),
            place_count=0 if spec.disentangled is None else 2 * spec.disentangled.span,
            scale=spec.embedding.scale,
        )
        attentions = [block.attention for block in spec.blocks]
        self._head_size = attentions[0].head_size
        rotaries = (attention.rotary for attention in attentions if attention.rotary is not None)
        self._rotaries = list(dict.fromkeys(rotaries))  # Each one once, in the order of the layers.
        added: list[int] = []
        for number, block, layer in zip(spec.stored_layers, spec.blocks, weights.layers, strict=True):
            if number in added:
                self._core.add_layer_again(added.index(number))
            else:
                added.append(number)
                self._add_layer(block, layer, weights.relative_positions)
        if (final_norm := _norm_arrays(weights.final_norm, spec.final_norm)) is not None:
            self._core.add_final_norm(final_norm)

    def _add_layer(self, block: BlockSpec, layer: Layer, relative_positions: Float32 | None) -> None:
        """Pack the weights of a layer."""
        attention = block.attention
        self._core.add_layer(
            query=_linear_arrays(layer.query),
            key=_linear_arrays(layer.key),
            value=_linear_arrays(layer.value),
            attention_output=_linear_arrays(layer.attention_output),
            attention_norms=_norms_arrays(layer.attention_norms, block.attention_norms),
            gate=_linear_arrays(layer.gate) if layer.gate else None,
            intermediate=_linear_arrays(layer.intermediate),
            output=_linear_arrays(layer.output),
            feed_forward_norms=_norms_arrays(layer.feed_forward_norms, block.feed_forward_norms),
            heads=attention.heads,
            kv_heads=attention.kv_heads,
            head_size=attention.head_size,
            activation=block.feed_forward.activation,
            before=_reach(attention.before),
            after=_reach(attention.after),
            turns=-1 if attention.rotary is None else self._rotaries.index(attention.rotary),
            query_norm=_norm_arrays(layer.query_norm, attention.qk_norm),
            key_norm=_norm_arrays(layer.key_norm, attention.qk_norm),
            scale=attention.scale,
            place_keys=place_vectors(relative_positions, layer.position_key),
            place_queries=place_vectors(relative_positions, layer.position_query),
        )

    def token_vectors(self, batch: TokenBatch) -> Float32:
        """The encoder's last hidden state, ``float32[T, hidden]``; see :class:`~pellucid.engines.base.Engine`."""
        return self._compute(batch, np.empty((len(batch.ids), self.spec.hidden_size), dtype=np.float32))

    def wanted_vectors(self, batch: TokenBatch, wanted: Int32) -> Float32:
        """The vector of one token of each text: the last layer computes no other, except for its keys and values."""
        return self._compute(batch, np.empty((len(batch), self.spec.hidden_size), dtype=np.float32), wanted=wanted)

    def run(self, batch: TokenBatch, finish: Finish[Result]) -> Result:
        """Compute the token vectors, and turn each text's vectors into its result. Pooling happens in C++.

        See :meth:`pellucid.engines.base.Engine.run`.
        """
        any_finish: object = finish  # Type checkers cannot narrow a Finish[Result].
        if not isinstance(any_finish, Pool) or not _core_pools(batch, any_finish):
            return super().run(batch, finish)
        pooled = self._pool(batch, any_finish.pooling.modes, _skipped(batch, any_finish))
        return cast("Result", any_finish.after_pooling(pooled))

    def run_each(self, requests: Sequence[tuple[TokenBatch, Finish[Any]]]) -> list[Any]:
        """Run several requests in one call. If all of them are pooled in the same way, this happens in C++.

        See :meth:`pellucid.engines.base.Engine.run_each`.
        """
        if len(requests) == 1:
            return [self.run(*requests[0])]
        pools = [
            (batch, finish) for batch, finish in requests if isinstance(finish, Pool) and _core_pools(batch, finish)
        ]
        modes = {finish.pooling.modes for _, finish in pools}
        if len(pools) < len(requests) or len(modes) != 1:
            return super().run_each(requests)
        skipped = np.concatenate([_skipped(batch, finish) for batch, finish in pools])
        pooled = self._pool(TokenBatch.join([batch for batch, _ in pools]), modes.pop(), skipped)
        parts = np.split(pooled, np.cumsum([len(batch) for batch, _ in pools])[:-1])
        return [finish.after_pooling(part) for part, (_, finish) in zip(parts, pools, strict=True)]

    def _pool(self, batch: TokenBatch, modes: tuple[str, ...], skipped: Int32) -> Float32:
        pooled = np.empty((len(batch), len(modes) * self.spec.hidden_size), dtype=np.float32)
        return self._compute(batch, pooled, poolings=modes, skipped=skipped)

    def apply(self, finish: Finish[Result], vectors: Float32, tokens: TokenBatch) -> Result:
        """Turn token vectors into results. The scores of a whole vocabulary are computed in C++, and never all kept.

        See :meth:`pellucid.engines.base.Engine.apply`.
        """
        any_finish: object = finish  # Type checkers cannot narrow a Finish[Result].
        if isinstance(any_finish, VocabularyPool):
            scores = functools.partial(self._scores, any_finish.head)
            return cast("Result", any_finish.weights(vectors, tokens.offsets, scores))
        if isinstance(any_finish, Several):
            return cast("Result", tuple(self.apply(each, vectors, tokens) for each in any_finish.finishes))
        return super().apply(finish, vectors, tokens)

    def maxsim(self, query: Float32, documents: MultiVectors) -> Float32:
        """Score documents for a query, in C++; see :func:`maxsim`."""
        return maxsim(query, documents, self.threads)

    def _scores(self, head: VocabularyHead, vectors: Float32, offsets: Int32, together: Together) -> Float32:
        """The scores of :meth:`pellucid.layers.vocabulary.VocabularyHead.scores`."""
        scores = np.empty((len(offsets) - 1, len(head.decoder.weight)), dtype=np.float32)
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._core_head(head).scores(vectors, offsets, together, scores, self.threads, in_main_thread)
        return scores

    def _core_head(self, head: VocabularyHead) -> _native.Vocabulary:
        """The head with packed weights. It is kept as long as the head itself."""
        with self._heads_lock:
            if head not in self._heads:
                from pellucid import _native

                self._heads[head] = _native.Vocabulary(
                    cpu=self.cpu,
                    dtype=self.dtype,
                    transform=_dense_arrays(head.transform),
                    activation=head.transform.activation,
                    norm=None if head.norm is None else (head.norm.weight, head.norm.bias, head.norm.eps),
                    decoder=_dense_arrays(head.decoder),
                )
            return self._heads[head]

    def _compute(
        self,
        batch: TokenBatch,
        out: Float32,
        *,
        wanted: Int32 | None = None,
        poolings: Sequence[str] = (),
        skipped: Int32 | None = None,
    ) -> Float32:
        """Write the vectors of all tokens to ``out``, or of the wanted ones, or the pooled vectors."""
        positions = position_ids(batch, self.spec)
        lengths = batch.lengths
        longest = int(lengths.max(initial=1))
        turns = [_turns_for(longest, self._head_size, rotary) for rotary in self._rotaries]
        # Without special tokens, an empty text has no tokens and no rows. The core does not take such texts.
        offsets = batch.offsets if lengths.all() else batch.offsets[np.append(True, lengths > 0)]
        in_main_thread = threading.current_thread() is threading.main_thread()  # Only that thread receives Ctrl-C.
        segments = batch.segments if self._has_token_types else None
        attended = batch.attended if batch.attended is None or lengths.all() else batch.attended[lengths > 0]
        self._core.token_vectors(
            batch.ids,
            positions,
            offsets,
            segments,
            wanted,
            turns,
            out,
            self.threads,
            in_main_thread,
            attended,
            list(poolings),
            skipped,
        )
        return out


def _core_pools(batch: TokenBatch, finish: Pool) -> bool:
    """True if the core pools these texts: none is empty, and results do not come from one token of each text.

    If they do, the last layer computes only that token.
    """
    return bool(batch.lengths.all()) and finish.wanted(batch.lengths) is None


def _skipped(batch: TokenBatch, finish: Pool) -> Int32:
    """How many tokens at the start of each text are not pooled, ``int32[B]``."""
    return np.minimum(np.int32(finish.skipped_tokens), batch.lengths)


def maxsim(query: Float32, documents: MultiVectors, threads: int | None = None) -> Float32:
    """What :func:`pellucid.vectors.maxsim.maxsim` computes, in C++.

    ``threads`` is the most threads to use; None for all available CPU cores. A document's score has the same
    bits with any other documents, and on any number of threads.
    """
    from pellucid import _native

    if not len(query):
        return lines.maxsim(query, documents)
    scores = np.empty(len(documents), dtype=np.float32)
    in_main_thread = threading.current_thread() is threading.main_thread()
    _native.maxsim(
        instruction_set(),
        np.ascontiguousarray(query),
        np.ascontiguousarray(documents.vectors),
        documents.offsets,
        scores,
        threads or usable_processors(),
        in_main_thread,
    )
    return scores


def create(
    spec: EncoderSpec,
    weights: Callable[[], EncoderWeights],
    folder: Path,  # noqa: ARG001
    *,
    dtype: str,
    device: str,  # noqa: ARG001
    threads: int | None,
) -> Engine:
    """See :class:`pellucid.engines.registry.Create`."""
    if spec.is_static:
        from pellucid.engines.static import StaticEngine

        return StaticEngine(spec, weights().word, dtype=dtype, threads=threads)
    return NativeEngine(spec, weights(), dtype=dtype, threads=threads)


def _linear_arrays(layer: Linear) -> tuple[StoredNumbers, Float32]:
    return layer.weight, layer.bias


def _dense_arrays(layer: Dense) -> tuple[Float32, Float32]:
    bias = np.zeros(len(layer.weight), dtype=np.float32) if layer.bias is None else layer.bias
    return layer.weight, bias


def place_vectors(relative_positions: Float32 | None, layer: Linear | None) -> Float32 | None:
    """The key or query of each relative position, all heads side by side; None if the layer does not use it."""
    return None if relative_positions is None or layer is None else linear(relative_positions, layer)


def places_by_distance(spec: EncoderSpec) -> Int32 | None:
    """The number of the relative position for each distance, query minus key: ``int32[2 * max_tokens - 1]``.

    Element ``max_tokens - 1`` is for distance 0. None if the encoder has no relative positions.
    """
    if spec.disentangled is None:
        return None
    return place_numbers(np.arange(1 - spec.max_tokens, spec.max_tokens), spec.disentangled).astype(np.int32)


def _norm_arrays(norm: Norm | None, spec: NormSpec | None) -> _NormArrays:
    if norm is None or spec is None:
        return None
    return norm.weight, None if spec.kind == "rms" else norm.bias, spec.eps


def _reach(tokens: int | None) -> int:
    """How far a token looks in one direction."""
    return _NO_LIMIT if tokens is None else min(tokens, _NO_LIMIT)


def _norms_arrays(norms: Norms, places: NormPlaces) -> tuple[_NormArrays, _NormArrays, _NormArrays]:
    """The norms before the sublayer, after it, and of the sum."""
    return (
        _norm_arrays(norms.before, places.before),
        _norm_arrays(norms.after, places.after),
        _norm_arrays(norms.sum, places.sum),
    )


def _turns_for(longest: int, head_size: int, rotary: Rotary) -> Turns:
    """The rotations of at least ``longest`` positions.

    The number of positions is rounded up to a power of two, so that few tables serve texts of all lengths.
    """
    return _cached_turns(1 << (longest - 1).bit_length(), head_size, rotary)


@functools.lru_cache(maxsize=16)
def _cached_turns(positions: int, head_size: int, rotary: Rotary) -> Turns:
    return rotary.turns(positions, head_size)


def instruction_set() -> str:
    """The instruction set to use: the one named by ``PELLUCID_CPU``, or else the best that this machine supports.

    Raises:
        OptionError: this machine does not support the instruction set that ``PELLUCID_CPU`` names.
    """
    supported = supported_instruction_sets()
    requested = os.environ.get(CPU_VARIABLE, supported[0])
    if requested not in supported:
        raise OptionError(
            f"{CPU_VARIABLE}={requested!r} is not an instruction set of this machine. "
            f"Choose one of {', '.join(supported)}."
        )
    return requested


def supported_instruction_sets() -> list[str]:
    """The instruction sets that this machine and the core both support, best first. The last is always "scalar"."""
    from pellucid import _native

    return _native.instruction_sets()


def peaks(threads: int, *, seconds: float = 0.5) -> dict[str, float]:
    """Measure the highest speeds that this machine can reach, for rooflines.

    Args:
        threads: the number of threads to measure with.
        seconds: the time to spend on each measurement.

    Returns:
        Speeds in GFLOP/s, where a multiply-add counts as two operations. ``"multiply_add"`` is the speed of float32
        arithmetic in registers; each dtype has the speed of the packed matrix product, with all its data in cache.
    """
    from pellucid import _native

    cpu = instruction_set()
    products: dict[str, float] = {dtype: _native.product_peak(cpu, dtype, threads, seconds) for dtype in NATIVE_DTYPES}
    return {"multiply_add": _native.multiply_add_peak(cpu, threads, seconds), **products}


def position_ids(batch: TokenBatch, spec: EncoderSpec) -> Int32:
    """The :func:`pellucid.engines.reference.position_ids` of all texts in one array, ``int32[T]``."""
    starts = np.repeat(batch.offsets[:-1], batch.lengths)
    padding = spec.embedding.padding_id
    if padding is None:
        return np.arange(len(batch.ids), dtype=np.int32) - starts
    is_counted = batch.ids != padding
    counts_before = np.cumsum(np.insert(is_counted, 0, False), dtype=np.int32)
    positions: Int32 = (counts_before[1:] - counts_before[starts]) * is_counted + np.int32(padding)
    return positions


def bias_by_distance(spec: EncoderSpec, weights: EncoderWeights) -> Float32 | None:
    """The relative bias for each distance from query to key: ``float32[heads, 2 * max_tokens - 1]``.

    Column ``max_tokens - 1`` is for distance 0, and the columns after it are for keys after the query. None if the
    encoder has no relative bias.
    """
    if weights.relative_bias is None or spec.relative_bias is None:
        return None
    distances = np.arange(1 - spec.max_tokens, spec.max_tokens)
    buckets = relative_buckets(distances, spec.relative_bias.buckets, spec.relative_bias.max_distance)
    return np.ascontiguousarray(weights.relative_bias[buckets].T)
