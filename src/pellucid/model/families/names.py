"""The table of tensor names that each family fills in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorNames:
    """What a family's weight files call each part. ``.weight`` and ``.bias`` are added to it.

    Attributes:
        prefixes: what may stand before every name, depending on which class saved the model.
        word, position, token_type, embedding_norm, relative_bias: the embeddings; None if the family has none.
        layer: the start of a layer's names, with ``{}`` for its number.
        query, key, value, attention_output, attention_norm, intermediate, output, output_norm: within a layer.
    """

    prefixes: tuple[str, ...]
    word: str
    position: str
    token_type: str | None
    embedding_norm: str
    relative_bias: str | None
    layer: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    output_norm: str
