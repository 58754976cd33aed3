"""A weight for each token that a text has, as in BGE-M3 (Chen et al., "BGE M3-Embedding", 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.layers.dense import Dense
from pellucid.layers.vocabulary import TokenWeights
from pellucid.reprs import short_repr
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import Float32, Int32, Int64, TokenBatch


def largest_weights(
    tokens: TokenBatch, weights: Float32, vocab_size: int, max_active_dims: int | None = None
) -> SparseVectors:
    """Sparse vectors of texts: each token that a text has, with the largest of its weights there.

    Args:
        tokens: the texts.
        weights: ``float32[T]``, the weight of each token. One of 0 does not count; NaN does, so that it is found later.
        vocab_size: the length of a vector.
        max_active_dims: keep only so many weights of a text, the largest ones; None for all.
    """
    counts = weights != 0
    texts = np.repeat(np.arange(len(tokens)), tokens.lengths)[counts]
    found, place = np.unique(texts * vocab_size + tokens.ids[counts], return_inverse=True)
    largest = np.full(len(found), -np.inf, dtype=np.float32)
    with np.errstate(invalid="ignore"):
        np.maximum.at(largest, place, weights[counts])
    offsets = np.searchsorted(found, np.arange(len(tokens) + 1) * vocab_size).astype(np.int32)
    vectors = SparseVectors((found % vocab_size).astype(np.int32), largest, offsets, vocab_size)
    return vectors if max_active_dims is None else vectors.largest(max_active_dims)


@dataclass(frozen=True)
class LexicalWeights(TokenWeights):
    """Sparse vectors that know only the tokens of the text itself, each with the largest of its weights.

    Attributes:
        dense: gives each token its weight, at least 0.
        vocab_size: the length of a vector.
        unused: the ids of tokens that never count, such as those that mark the ends of a text.
        max_active_dims: keep only so many weights of a text, the largest ones; None for all.
    """

    dense: Dense
    vocab_size: int
    unused: tuple[int, ...] = ()
    max_active_dims: int | None = None

    __repr__ = short_repr

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> SparseVectors:
        """The weights of the texts."""
        return largest_weights(tokens, self.token_weights(vectors, tokens), self.vocab_size, self.max_active_dims)

    def raised_by(self, vectors: Float32, tokens: TokenBatch, terms: Int32) -> Int64:
        """Where the token has its largest weight; see :meth:`TokenWeights.raised_by`."""
        lightest_first = np.argsort(-self.token_weights(vectors, tokens), kind="stable")[::-1]
        heaviest = np.zeros(self.vocab_size, dtype=np.int64)
        heaviest[tokens.ids[lightest_first]] = lightest_first  # Of equal indices, NumPy keeps the last assignment.
        return heaviest[terms]

    def token_weights(self, vectors: Float32, tokens: TokenBatch) -> Float32:
        """The weight of each token, ``float32[T]``; 0 for one that never counts."""
        with np.errstate(over="ignore", invalid="ignore"):  # check() reports NaN and infinity.
            weights: Float32 = self.dense(vectors)[:, 0]
        return np.where(np.isin(tokens.ids, self.unused), np.float32(0), weights)
