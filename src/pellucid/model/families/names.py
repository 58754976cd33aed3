"""The table of tensor names that each family fills in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorPart:
    """One of several matrices of the same shape that a file keeps in one tensor, one below the other.

    Attributes:
        name: the tensor's.
        number: which of them, from 0.
        of: how many there are.
    """

    name: str
    number: int
    of: int


@dataclass(frozen=True)
class TensorNames:
    """What a family's weight files call each part. ``.weight`` and ``.bias`` are added to it.

    Attributes:
        prefixes: what may stand before every name, depending on which class saved the model.
        word, position, token_type, embedding_norm, relative_bias: the embeddings; None if the family has none.
        layer: the start of a layer's names, with ``{}`` for its number.
        query, key, value, attention_output, attention_norm: within a layer.
        gate: what the activation is applied to in a gated family; None in others.
        intermediate, output, feed_forward_norm: within a layer.
        final_norm: after the last layer, in a family whose norms come first; None in others.
    """

    prefixes: tuple[str, ...]
    word: str
    position: str | None
    token_type: str | None
    embedding_norm: str
    relative_bias: str | None
    layer: str
    query: str | TensorPart
    key: str | TensorPart
    value: str | TensorPart
    attention_output: str
    attention_norm: str
    gate: str | TensorPart | None
    intermediate: str | TensorPart
    output: str
    feed_forward_norm: str
    final_norm: str | None
