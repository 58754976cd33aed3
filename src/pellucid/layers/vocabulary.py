"""The head of a masked language model, and what SPLADE makes of it: a weight for each token of the vocabulary.

SPLADE (Formal et al., 2021): the head gives each token of a text a score for each token of the vocabulary. A text's
weight for a token is ``log(1 + x)`` of the largest score ``x``, or the sum of ``log(1 + x)`` over the text's tokens.
Negative scores count as 0, so most weights are 0.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pellucid.errors import InvalidModelError
from pellucid.layers.dense import Dense
from pellucid.layers.finish import Pool
from pellucid.layers.norms import LayerNorm, layer_norm
from pellucid.reprs import short_repr
from pellucid.sparse_vectors import SparseVectors
from pellucid.types import Float32, Int32, Int64, TokenBatch

Together = Literal["largest", "sum_of_logs", "sum_of_logs_of_logs"]
"""How the scores of a text's tokens become one score: the largest one, at least 0; or the sum of ``log(1 + x)``, or of
``log(1 + log(1 + x))``, over all scores ``x > 0``."""
_MAX_NUMBERS = 1 << 23
"""At most so many scores are in memory at a time: 32 MB."""


@dataclass(frozen=True, eq=False)
class VocabularyHead:
    """The head of a masked language model.

    Attributes:
        transform: the linear layer that token vectors go through first, with its activation.
        norm: the norm after it, or None.
        decoder: the linear layer that gives the scores: weight ``float32[vocabulary, width]``, and bias.
    """

    transform: Dense
    norm: LayerNorm | None
    decoder: Dense

    __repr__ = short_repr

    def scores(self, vectors: Float32, offsets: Int32, together: Together) -> Float32:
        """The scores of texts, ``float32[B, vocabulary]``.

        Args:
            vectors: ``float32[T, hidden]``, the token vectors of all texts.
            offsets: ``int32[B + 1]``; text ``i`` owns rows ``offsets[i]:offsets[i + 1]``.
            together: how the scores of a text's tokens become one.
        """
        scores = np.zeros((len(offsets) - 1, len(self.decoder.weight)), dtype=np.float32)
        size = max(1, _MAX_NUMBERS // scores.shape[1])
        for text, (start, end) in enumerate(itertools.pairwise(offsets.tolist())):
            for first in range(start, end, size):
                found = self.token_scores(vectors[first : min(end, first + size)])
                np.maximum(found, 0, out=found)
                if together == "largest":
                    scores[text] = np.maximum(scores[text], found.max(axis=0))
                    continue
                np.log1p(found, out=found)
                scores[text] += (found if together == "sum_of_logs" else np.log1p(found, out=found)).sum(axis=0)
        return scores

    def token_scores(self, vectors: Float32, tokens: Int32 | None = None) -> Float32:
        """The scores of each token of one text, ``float32[n, vocabulary]``; or only those for some ``tokens``."""
        with np.errstate(over="ignore", invalid="ignore"):  # check() reports NaN and infinity.
            hidden = self.transform(vectors)
            if self.norm is not None:
                hidden = layer_norm(hidden, self.norm.weight, self.norm.bias, self.norm.eps)
            weight, bias = self.decoder.weight, self.decoder.bias
            scores: Float32 = hidden @ (weight if tokens is None else weight[tokens]).T
            return scores if bias is None else scores + (bias if tokens is None else bias[tokens])


class SparseFinish(ABC):
    """What all finishes share whose result is :class:`~pellucid.sparse_vectors.SparseVectors`."""

    @abstractmethod
    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> SparseVectors:
        """The sparse vectors of texts; see :meth:`pellucid.layers.finish.Finish.__call__`."""

    def wanted(self, lengths: Int32, /) -> Int32 | None:  # noqa: ARG002
        """All tokens count; see :meth:`pellucid.layers.finish.Finish.wanted`."""
        return None

    def merge(self, parts: Iterable[tuple[Int64, SparseVectors]], texts: int, /) -> SparseVectors:
        """The vectors of all texts, in order; see :meth:`pellucid.layers.finish.Finish.merge`."""
        indices, vectors = zip(*parts, strict=True)
        places = np.empty(texts, dtype=np.int64)
        places[np.concatenate(indices)] = np.arange(texts)
        return SparseVectors.concatenate(vectors)[places]

    def split(self, result: SparseVectors, counts: Sequence[int], /) -> list[SparseVectors]:
        """Consecutive vectors."""
        ends = np.cumsum([0, *counts]).tolist()
        return [result[start:end] for start, end in itertools.pairwise(ends)]

    def check(self, result: SparseVectors, position: Callable[[int], int], /) -> None:
        """Check every number of every vector."""
        if not np.isfinite(result.values).all():
            place = int(np.flatnonzero(~np.isfinite(result.values))[0])
            text = position(int(np.searchsorted(result.offsets, place, side="right")) - 1)
            raise InvalidModelError(
                f"the model gives text {text} a weight that is not finite (NaN or infinity). Its weights are broken, "
                f"or too large for this dtype. Get the model's files again, or try dtype='float32'."
            )


class TokenWeights(SparseFinish):
    """A finish whose dimensions are the tokens of the vocabulary, each of which some token of a text raised."""

    @abstractmethod
    def raised_by(self, vectors: Float32, tokens: TokenBatch, terms: Int32) -> Int64:
        """The token of one text that raised each of its terms most.

        Args:
            vectors: ``float32[n, hidden]``, the token vectors of the text.
            tokens: the text.
            terms: ``int32[N]``, ids of tokens that have a weight in the text's sparse vector.

        Returns:
            ``int64[N]``, positions in the text.
        """


@dataclass(frozen=True)
class VocabularyPool(TokenWeights):
    """SPLADE: a weight for each token of the vocabulary.

    Attributes:
        head: gives the scores.
        mode: "max" for the largest score of a text's tokens, "sum" for the sum.
        logs: how many times ``log(1 + x)`` is taken: 1, or 2 in OpenSearch's models (Shen et al., "Exploring l0
            Sparsification for Inference-free Sparse Retrievers", 2025).
        max_active_dims: keep only so many weights of a text, the largest ones; None for all.
    """

    head: VocabularyHead
    mode: Literal["max", "sum"] = "max"
    logs: Literal[1, 2] = 1
    max_active_dims: int | None = None

    __repr__ = short_repr

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> SparseVectors:
        """The weights of the texts."""
        return self.weights(vectors, tokens.offsets, self.head.scores)

    def raised_by(self, vectors: Float32, tokens: TokenBatch, terms: Int32) -> Int64:  # noqa: ARG002
        """The token that gives each term its highest score; see :meth:`TokenWeights.raised_by`."""
        raised_by = np.zeros(len(terms), dtype=np.int64)
        size = max(1, _MAX_NUMBERS // max(1, len(vectors)))
        for start in range(0, len(terms), size):
            part = slice(start, start + size)
            raised_by[part] = self.head.token_scores(vectors, terms[part]).argmax(axis=0)
        return raised_by

    @property
    def together(self) -> Together:
        """How the scores of a text's tokens become one."""
        if self.mode == "max":
            return "largest"
        return "sum_of_logs" if self.logs == 1 else "sum_of_logs_of_logs"

    def weights(
        self, vectors: Float32, offsets: Int32, scores: Callable[[Float32, Int32, Together], Float32]
    ) -> SparseVectors:
        """The weights of the texts, from what ``scores`` computes. It takes what ``VocabularyHead.scores`` takes.

        An engine that computes scores faster passes its own function.
        """
        size = max(1, _MAX_NUMBERS // len(self.head.decoder.weight))
        parts = []
        for first in range(0, max(1, len(offsets) - 1), size):
            part = offsets[first : first + size + 1]
            found = SparseVectors.from_dense(scores(vectors[part[0] : part[-1]], part - part[0], self.together))
            parts.append(self.of_scores(found))
        return SparseVectors.concatenate(parts)

    def of_scores(self, scores: SparseVectors) -> SparseVectors:
        """The weights of texts, from the scores that their tokens have together."""
        values = scores.values
        if self.mode == "max":  # The logarithm grows with its argument, so it can be taken of the largest score alone.
            for _ in range(self.logs):
                values = np.log1p(values)
        weights = SparseVectors(scores.indices, values, scores.offsets, scores.dimensions)
        return weights if self.max_active_dims is None else weights.largest(self.max_active_dims)


@dataclass(frozen=True, eq=False)
class AutoEncoder:
    """A linear layer whose result is sparse: only the largest numbers of a vector are kept (Wen et al., "Beyond
    Matryoshka: Revisiting Sparse Coding for Adaptive Representation", 2025).

    Attributes:
        before: ``float32[d]``, which is taken away from each vector first.
        weight: ``float32[dimensions, d]``.
        bias: ``float32[dimensions]``.
        kept: how many numbers to keep. Negative ones become 0.
        normalize: True if each vector first gets mean 0 and deviation 1.
    """

    before: Float32
    weight: Float32
    bias: Float32
    kept: int
    normalize: bool = False

    __repr__ = short_repr

    def __call__(self, vectors: Float32, kept: int | None = None, /) -> SparseVectors:
        """The sparse vectors of dense ones, ``float32[B, d]``. ``kept`` overrides the number to keep."""
        if self.normalize:
            vectors = vectors - vectors.mean(axis=1, keepdims=True)
            vectors = vectors / (vectors.std(axis=1, ddof=1, keepdims=True) + np.float32(1e-5))
        codes = Dense(self.weight, self.bias, "relu")(vectors - self.before)
        return SparseVectors.from_dense(codes).largest(self.kept if kept is None else kept)


@dataclass(frozen=True)
class SparseCode(SparseFinish):
    """A dense vector, and the sparse one that an autoencoder makes of it.

    Attributes:
        pool: gives the dense vector.
        autoencoder: gives the sparse one.
        max_active_dims: keep only so many numbers; None for the model's own number.
    """

    pool: Pool
    autoencoder: AutoEncoder
    max_active_dims: int | None = None

    __repr__ = short_repr

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> SparseVectors:
        """The sparse vectors of the texts."""
        return self.autoencoder(self.pool(vectors, tokens), self.max_active_dims)
