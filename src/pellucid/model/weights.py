"""An encoder's weights, each with the shape that the encoder's spec asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.model.families.names import TensorNames, TensorPart
from pellucid.model.spec import EncoderSpec, NormPlaces, NormSpec
from pellucid.model.tensors import Tensors
from pellucid.types import Float32


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer: ``x Wᵀ + b`` with weight ``float32[out, in]`` and bias ``float32[out]``, zeros if it has none."""

    weight: Float32
    bias: Float32


@dataclass(frozen=True, eq=False)
class Norm:
    """A layer normalisation: weight and bias are ``float32[hidden]``; the bias is zeros if it has none."""

    weight: Float32
    bias: Float32


@dataclass(frozen=True, eq=False)
class Norms:
    """The norms around a sublayer, where :class:`pellucid.model.spec.NormPlaces` says that there are any."""

    before: Norm | None = None
    after: Norm | None = None
    sum: Norm | None = None


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer, as :class:`pellucid.model.spec.BlockSpec` describes it.

    Attributes:
        query, key, value, attention_output: the attention.
        attention_norms: around it.
        gate: of a gated feed-forward, what the activation is applied to; else None.
        intermediate, output: the feed-forward. The activation is applied to the first, if there is no gate.
        feed_forward_norms: around it.
    """

    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norms: Norms
    gate: Linear | None
    intermediate: Linear
    output: Linear
    feed_forward_norms: Norms


@dataclass(frozen=True, eq=False)
class EncoderWeights:
    """All weights of an encoder.

    Attributes:
        word: ``float32[vocab_size, hidden]``.
        position: ``float32[positions, hidden]``, or None.
        token_type: ``float32[token_types, hidden]``, or None.
        embedding_norm: follows the sum of those, or None.
        relative_bias: ``float32[buckets, heads]``, or None.
        layers: in order. Each is read from the file, and checked, when it is taken, and not kept: an engine that packs
            the weights in a form of its own never holds them twice.
        final_norm: follows the last layer, or None.
    """

    word: Float32
    position: Float32 | None
    token_type: Float32 | None
    embedding_norm: Norm | None
    relative_bias: Float32 | None
    layers: Iterable[Layer]
    final_norm: Norm | None = None


class _LayersInTheFile(Iterable[Layer]):
    """Layers that are read each time they are gone through."""

    def __init__(self, count: int, read: Callable[[int], Layer]) -> None:
        self._count = count
        self._read = read

    def __iter__(self) -> Iterator[Layer]:
        return map(self._read, range(self._count))


def read_linear(
    tensors: Tensors, name: str | TensorPart, out: int, into: int, *, start: str = "", bias: bool = True
) -> Linear:
    """The linear layer of this name, from ``into`` to ``out`` features; ``start`` is put before the name."""
    part = name if isinstance(name, TensorPart) else None
    tensor = start + (name.name if isinstance(name, TensorPart) else name)
    return Linear(
        tensors.read(f"{tensor}.weight", (out, into), part),
        tensors.read(f"{tensor}.bias", (out,), part) if bias else np.zeros(out, dtype=np.float32),
    )


def read_norm(tensors: Tensors, name: str, size: int, *, bias: bool = True) -> Norm:
    """The layer normalisation of this name. The first BERT checkpoints call its parts gamma and beta."""
    weight, shift = ("gamma", "beta") if f"{name}.gamma" in tensors else ("weight", "bias")
    return Norm(
        tensors.read(f"{name}.{weight}", (size,)),
        tensors.read(f"{name}.{shift}", (size,)) if bias else np.zeros(size, dtype=np.float32),
    )


def read_encoder(tensors: Tensors, spec: EncoderSpec, tables: Sequence[TensorNames]) -> EncoderWeights:
    """The weights of an encoder, each with the shape that its spec asks for.

    Args:
        tensors: those of the model's file.
        spec: the encoder's shape.
        tables: the names that its family may go by.

    Raises:
        InvalidModelError, UnsupportedModelError: as :meth:`Tensors.read`; for a layer's tensors, when it is taken.
    """
    names, prefix = _naming(tensors, tables)
    hidden, embedding = spec.hidden_size, spec.embedding

    def table(name: str | None, rows: int, width: int) -> Float32 | None:
        return tensors.read(f"{prefix}{name}.weight", (rows, width)) if name and rows else None

    def norm(name: str | None, wanted: NormSpec | None) -> Norm | None:
        return read_norm(tensors, f"{prefix}{name}", hidden, bias=wanted.bias) if wanted else None

    def norms(name: str, places: NormPlaces) -> Norms:
        return Norms(before=norm(name, places.before), sum=norm(name, places.sum))

    def layer(number: int) -> Layer:
        block, start = spec.blocks[number], names.layer.format(number)
        attention, feed_forward = block.attention, block.feed_forward

        def linear(name: str | TensorPart, out: int, into: int, bias: bool) -> Linear:
            return read_linear(tensors, name, out, into, start=prefix + start, bias=bias)

        return Layer(
            query=linear(names.query, attention.query_size, hidden, attention.bias),
            key=linear(names.key, attention.key_size, hidden, attention.bias),
            value=linear(names.value, attention.key_size, hidden, attention.bias),
            attention_output=linear(names.attention_output, hidden, attention.query_size, attention.bias),
            attention_norms=norms(start + names.attention_norm, block.attention_norms),
            gate=linear(names.gate, feed_forward.size, hidden, feed_forward.bias) if names.gate else None,
            intermediate=linear(names.intermediate, feed_forward.size, hidden, feed_forward.bias),
            output=linear(names.output, hidden, feed_forward.size, feed_forward.bias),
            feed_forward_norms=norms(start + names.feed_forward_norm, block.feed_forward_norms),
        )

    buckets = spec.relative_bias.buckets if spec.relative_bias else 0
    return EncoderWeights(
        word=tensors.read(f"{prefix}{names.word}.weight", (embedding.vocab_size, hidden)),
        position=table(names.position, embedding.positions if embedding.position_table else 0, hidden),
        token_type=table(names.token_type, embedding.token_types, hidden),
        embedding_norm=norm(names.embedding_norm, embedding.norm),
        relative_bias=table(names.relative_bias, buckets, spec.blocks[0].attention.heads),
        layers=_LayersInTheFile(len(spec.blocks), layer),
        final_norm=norm(names.final_norm, spec.final_norm),
    )


def _naming(tensors: Tensors, tables: Sequence[TensorNames]) -> tuple[TensorNames, str]:
    """The table of names and the prefix that this file goes by: those by which most of two tensors are found."""

    def found(candidate: tuple[TensorNames, str]) -> int:
        names, prefix = candidate
        output = names.layer.format(0) + names.attention_output
        return sum(f"{prefix}{name}.weight" in tensors for name in (names.word, output))

    return max(((names, prefix) for names in tables for prefix in names.prefixes), key=found)
