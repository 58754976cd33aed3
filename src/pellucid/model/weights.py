"""An encoder's weights. Each has the shape that the encoder's spec calls for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.layers.norms import layer_norm
from pellucid.model.families.names import OutputNames, TensorNames, TensorPart
from pellucid.model.spec import EncoderSpec, NormPlaces, NormSpec
from pellucid.model.stored import StoredNumbers, TokenTable
from pellucid.model.tensors import Tensors
from pellucid.reprs import short_repr
from pellucid.types import Float32


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear layer, ``x Wᵀ + b``.

    Attributes:
        weight: ``[out, in]``. In the layers of an encoder, it has the type in which the file stores it
            (:mod:`pellucid.model.stored`); elsewhere it is float32.
        bias: ``float32[out]``; zeros if the layer has none.
    """

    weight: StoredNumbers
    bias: Float32

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm: weight and bias, both ``float32[size]``. The bias is zeros if the model has none."""

    weight: Float32
    bias: Float32

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Norms:
    """The norms around a sublayer; :class:`pellucid.model.spec.NormPlaces` explains their places. None is no norm."""

    before: Norm | None = None
    after: Norm | None = None
    sum: Norm | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer, as :class:`pellucid.model.spec.BlockSpec` describes it.

    Attributes:
        query, key, value, attention_output: the linear layers of attention.
        attention_norms: the norms around attention.
        gate: in a gated feed-forward network, the linear layer whose output goes through the activation; else None.
        intermediate, output: the linear layers of the feed-forward network. Without a gate, the activation is applied
            to the output of ``intermediate``.
        feed_forward_norms: the norms around the feed-forward network.
        query_norm, key_norm: the norms of each head's query and key, ``float32[head_size]``; None in most families.
        position_key, position_query: the linear layers that give relative positions a key and a query, in DeBERTa;
            None if the layer does not use it, as in other families.
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
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    position_key: Linear | None = None
    position_query: Linear | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class EncoderWeights:
    """All weights of an encoder.

    Attributes:
        word: the table with a row of ``hidden`` numbers for each token, as the file stores it.
        position: ``float32[positions, hidden]``, or None.
        token_type: ``float32[token_types, hidden]``, or None.
        embedding_norm: the norm after the sum of these three, or None.
        embedding_projection: the linear layer after that norm, or None. With it, the tables' rows are shorter than
            ``hidden``.
        relative_bias: ``float32[buckets, heads]``, or None.
        relative_positions: the vectors of relative positions, ``float32[2 * span, hidden]``, after their norm; or None.
        layers: the layers in order. Iterating reads each layer from the file and checks it, and keeps none. So an
            engine that packs the weights into its own format never holds them twice.
        final_norm: the norm after the last layer, or None.
    """

    word: TokenTable
    position: Float32 | None
    token_type: Float32 | None
    embedding_norm: Norm | None
    relative_bias: Float32 | None
    layers: Iterable[Layer]
    final_norm: Norm | None = None
    embedding_projection: Linear | None = None
    relative_positions: Float32 | None = None

    __repr__ = short_repr


class _LazyLayers(Iterable[Layer]):
    """Layers that every iteration reads from the file anew."""

    def __init__(self, count: int, read: Callable[[int], Layer]) -> None:
        self._count = count
        self._read = read

    def __iter__(self) -> Iterator[Layer]:
        return map(self._read, range(self._count))


def read_linear(
    tensors: Tensors,
    name: str | TensorPart,
    out_features: int,
    in_features: int,
    *,
    prefix: str = "",
    bias: bool = True,
    as_stored: bool = False,
) -> Linear:
    """Read the linear layer of this name. ``prefix`` is put before the name.

    With ``as_stored``, its weight keeps the type that it has in the file.
    """
    part = name if isinstance(name, TensorPart) else None
    tensor = prefix + (name.name if isinstance(name, TensorPart) else name)
    read_weight = tensors.read_as_stored if as_stored else tensors.read
    return Linear(
        read_weight(f"{tensor}.weight", (out_features, in_features), part),
        tensors.read(f"{tensor}.bias", (out_features,), part) if bias else np.zeros(out_features, dtype=np.float32),
    )


def read_norm(tensors: Tensors, name: str, size: int, spec: NormSpec) -> Norm:
    """Read the norm of this name. The first BERT checkpoints call its weight gamma and its bias beta."""
    weight_name, bias_name = ("gamma", "beta") if f"{name}.gamma" in tensors else ("weight", "bias")
    weight = tensors.read(f"{name}.{weight_name}", (size,))
    return Norm(
        weight + np.float32(1) if spec.adds_one else weight,
        tensors.read(f"{name}.{bias_name}", (size,)) if spec.bias else np.zeros(size, dtype=np.float32),
    )


def read_word_table(tensors: Tensors, spec: EncoderSpec, tables: Sequence[TensorNames]) -> Float32:
    """Read the whole table of token vectors, as float32. The arguments and errors are those of :func:`read_encoder`."""
    names, prefix = _detect_names(tensors, spec, tables)
    return tensors.read(f"{prefix}{names.word}.weight", (spec.vocab_size, spec.embedding.size or spec.hidden_size))


def read_output_rows(
    tensors: Tensors,
    spec: EncoderSpec,
    tables: Sequence[TensorNames],
    output: OutputNames,
    rows: Sequence[int],
    *,
    is_tied: bool,
) -> Float32:
    """Read the rows of a decoder's output layer that belong to some tokens, ``float32[n, hidden]``, and no others.

    Args:
        tensors: the tensors in the decoder's folder.
        spec: the decoder's shape.
        tables: the tables of tensor names that files of its family may use.
        output: the output layer.
        rows: the ids of the tokens.
        is_tied: True if the table of token vectors takes the layer's place, unless the files have both. So it is in
            transformers.

    Raises:
        InvalidModelError, UnsupportedModelError: as :meth:`Tensors.read`.
    """
    name = f"{output.name}.weight"
    if is_tied and name not in tensors:
        names, prefix = _detect_names(tensors, spec, tables)
        name = f"{prefix}{names.word}.weight"
    parts = (TensorPart(name, row, spec.vocab_size) for row in rows)
    return np.concatenate([tensors.read(name, (1, spec.hidden_size), part) for part in parts])


def read_encoder(tensors: Tensors, spec: EncoderSpec, tables: Sequence[TensorNames]) -> EncoderWeights:
    """Read the weights of an encoder, each with the shape that the spec calls for.

    Args:
        tensors: the tensors in the encoder's folder.
        spec: the encoder's shape.
        tables: the tables of tensor names that files of its family may use.

    Raises:
        InvalidModelError, UnsupportedModelError: as :meth:`Tensors.read`. For a layer's tensors, the error comes when
            that layer is read.
    """
    names, prefix = _detect_names(tensors, spec, tables)
    hidden, embedding = spec.hidden_size, spec.embedding
    width = embedding.size or hidden
    places = spec.disentangled

    def table(name: str | None, rows: int, width: int) -> Float32 | None:
        return tensors.read(f"{prefix}{name}.weight", (rows, width)) if name and rows else None

    def norm(name: str | None, norm_spec: NormSpec | None, size: int = hidden) -> Norm | None:
        return read_norm(tensors, f"{prefix}{name}", size, norm_spec) if norm_spec else None

    def norms(start: str, name: str, after_name: str | None, places: NormPlaces) -> Norms:
        return Norms(
            before=norm(start + name, places.before),
            after=norm(f"{start}{after_name}", places.after),
            sum=norm(start + name, places.sum),
        )

    def layer(number: int) -> Layer:
        block, layer_prefix = spec.blocks[number], names.layer.format(spec.stored_layers[number])
        attention, feed_forward = block.attention, block.feed_forward

        def linear(name: str | TensorPart, out_features: int, in_features: int, bias: bool) -> Linear:
            start = prefix + layer_prefix
            return read_linear(tensors, name, out_features, in_features, prefix=start, bias=bias, as_stored=True)

        def position(shared: str | TensorPart, own: str | None, is_used: bool) -> Linear | None:
            if places is None or own is None or not is_used:
                return None
            return linear(shared if places.shared else own, attention.query_size, hidden, True)

        return Layer(
            query=linear(names.query, attention.query_size, hidden, attention.bias),
            key=linear(names.key, attention.key_size, hidden, attention.bias),
            value=linear(names.value, attention.key_size, hidden, attention.bias),
            attention_output=linear(
                names.attention_output,
                hidden,
                attention.query_size,
                attention.bias if attention.output_bias is None else attention.output_bias,
            ),
            attention_norms=norms(
                layer_prefix, names.attention_norm, names.attention_after_norm, block.attention_norms
            ),
            gate=linear(names.gate, feed_forward.size, hidden, feed_forward.bias) if names.gate else None,
            intermediate=linear(names.intermediate, feed_forward.size, hidden, feed_forward.bias),
            output=linear(names.output, hidden, feed_forward.size, feed_forward.bias),
            feed_forward_norms=norms(
                layer_prefix, names.feed_forward_norm, names.feed_forward_after_norm, block.feed_forward_norms
            ),
            query_norm=norm(f"{layer_prefix}{names.query_norm}", attention.qk_norm, attention.head_size),
            key_norm=norm(f"{layer_prefix}{names.key_norm}", attention.qk_norm, attention.head_size),
            position_key=position(names.key, names.position_key, bool(places and places.query_to_position)),
            position_query=position(names.query, names.position_query, bool(places and places.key_to_position)),
        )

    def relative_positions() -> Float32 | None:
        if places is None:
            return None
        vectors = tensors.read(f"{prefix}{names.relative_positions}.weight", (2 * places.span, hidden))
        weights = norm(names.relative_norm, places.norm)
        if weights is None or places.norm is None:
            return vectors
        return layer_norm(vectors, weights.weight, weights.bias, places.norm.eps)

    buckets = spec.relative_bias.buckets if spec.relative_bias else 0
    return EncoderWeights(
        word=TokenTable(tensors.read_as_stored(f"{prefix}{names.word}.weight", (embedding.vocab_size, width))),
        position=table(names.position, embedding.positions if embedding.position_table else 0, width),
        token_type=table(names.token_type, embedding.token_types, width),
        embedding_norm=norm(names.embedding_norm, embedding.norm, width),
        relative_bias=table(names.relative_bias, buckets, spec.blocks[0].attention.heads),
        layers=_LazyLayers(len(spec.blocks), layer),
        final_norm=norm(names.final_norm, spec.final_norm),
        embedding_projection=None
        if embedding.size is None or names.embedding_projection is None
        else read_linear(tensors, names.embedding_projection, hidden, embedding.size, prefix=prefix),
        relative_positions=relative_positions(),
    )


def _detect_names(tensors: Tensors, spec: EncoderSpec, tables: Sequence[TensorNames]) -> tuple[TensorNames, str]:
    """The table of names and the prefix that this file uses.

    Two tensors that every model has are looked up under each table and prefix. The combination that finds most wins.
    Tables that have a gate count only if the spec has one, and the others only if it has none.
    """
    gated = spec.blocks[0].feed_forward.gated

    def count_found(candidate: tuple[TensorNames, str]) -> int:
        names, prefix = candidate
        attention_output = names.layer.format(0) + names.attention_output
        return sum(f"{prefix}{name}.weight" in tensors for name in (names.word, attention_output))

    candidates = [(names, prefix) for names in tables if gated == (names.gate is not None) for prefix in names.prefixes]
    if not candidates:
        raise AssertionError("the family's tensor names and its spec disagree on whether there is a gate")
    return max(candidates, key=count_found)
