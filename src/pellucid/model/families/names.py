"""The tables of tensor names. Each family fills in its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorPart:
    """One of several matrices of equal shape that a file stacks into one tensor, along its first axis.

    Attributes:
        name: the name of the tensor.
        index: the position of this matrix in the stack, from 0.
        count: the number of matrices in the stack.
    """

    name: str
    index: int
    count: int


@dataclass(frozen=True)
class TensorNames:
    """The names of an encoder's parts in a family's weight files. ``.weight`` and ``.bias`` are added to them.

    Attributes:
        prefixes: the prefixes that all names may have, depending on which class saved the model.
        word, position, token_type, embedding_norm, relative_bias: the parts of the embeddings; None if the family does
            not have that part.
        layer: the prefix of a layer's names, with ``{}`` for its number. The following names are without it.
        query, key, value, attention_output, attention_norm: the parts of attention.
        gate: the linear layer whose output goes through the activation, in a family with gated feed-forward networks;
            else None.
        intermediate, output, feed_forward_norm: the other parts of the feed-forward network.
        final_norm: the norm after the last layer, in a family with pre-norm layers; else None.
        attention_after_norm, feed_forward_after_norm: the norms of a sublayer's result before it is added, in a family
            that has them; else None.
        query_norm, key_norm: the norms of each head's query and key, in a family that has them; else None.
        relative_positions: the table of relative positions' vectors, in DeBERTa; else None.
        relative_norm: the norm of these vectors.
        position_key, position_query: the linear layers of relative positions, in a layer.
        embedding_projection: the linear layer after the embeddings, in a family that has one; else None.
    """

    prefixes: tuple[str, ...]
    word: str
    position: str | None
    token_type: str | None
    embedding_norm: str | None
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
    attention_after_norm: str | None = None
    feed_forward_after_norm: str | None = None
    query_norm: str | None = None
    key_norm: str | None = None
    relative_positions: str | None = None
    relative_norm: str | None = None
    position_key: str | None = None
    position_query: str | None = None
    embedding_projection: str | None = None


@dataclass(frozen=True)
class HeadNames:
    """The classification head that transformers puts on a family, and the names of its parts in weight files.

    Attributes:
        dense: the linear layer before the last one, whose output goes through the activation; None if there is only the
            last one, without a bias, as in decoders.
        output: the last linear layer.
        activation: the activation, if the family has a fixed one: a key of
            :data:`pellucid.layers.activations.ACTIVATIONS`.
        activation_key: the key of config.json that names the activation, in a family that lets the config choose.
        bias_key: the key of config.json that says if the first linear layer has a bias; None if it always has one.
        norm: the norm after the activation, in a family that has one; else None.
        pooling_key: the key of config.json that says which token vectors the head reads; None if it always reads those
            of ``pooling``.
        pooling: the token vectors that the head reads: "cls" for the first, "lasttoken" for the last.
    """

    dense: str | None
    output: str
    activation: str = "tanh"
    activation_key: str | None = None
    bias_key: str | None = None
    norm: str | None = None
    pooling_key: str | None = None
    pooling: str = "cls"


@dataclass(frozen=True)
class OutputNames:
    """The output layer of a decoder, which scores each token of the vocabulary as the next one.

    Attributes:
        name: the linear layer. It has no bias.
        tied: True if its weight is the table of token vectors unless config.json says otherwise.
    """

    name: str = "lm_head"
    tied: bool = False


@dataclass(frozen=True)
class VocabularyNames:
    """The head that a family has as a masked language model, and the names of its parts in weight files.

    Attributes:
        dense: the linear layer that token vectors go through first.
        norm: the norm after it.
        decoder: the linear layer that gives a score for each token of the vocabulary. If it is tied to the embeddings,
            files need not have its weight.
        bias: the whole name of the decoder's bias.
        activation: the activation after the first layer: a key of
            :data:`pellucid.layers.activations.ACTIVATIONS`; None for that of the encoder's layers.
        activation_key: the key of config.json that names it, in a family that lets the config choose.
        dense_bias_key, decoder_bias_key: the keys of config.json that say if a linear layer has a bias; None if it
            always has one.
    """

    dense: str
    norm: str
    decoder: str
    bias: str
    activation: str | None = None
    activation_key: str | None = None
    dense_bias_key: str | None = None
    decoder_bias_key: str | None = None
