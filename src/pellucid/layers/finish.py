"""What is made of each text's token vectors. A finish is data, and its meaning is a few lines of NumPy.

An engine may do the same where the token vectors are, as in a GPU; it is held to these lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from pellucid.errors import InvalidModelError
from pellucid.layers.norms import Normalize, normalize
from pellucid.layers.pooling import Pooling, pool
from pellucid.types import Float32, Int32, Int64, MultiVectors

Result = TypeVar("Result")


class Module(Protocol):
    """A module after pooling: ``float32[B, d]`` to ``float32[B, d']``."""

    def __call__(self, vectors: Float32, /) -> Float32:
        """Apply the module."""


class Finish(Protocol[Result]):
    """What is made of each text's token vectors."""

    def __call__(self, vectors: Float32, offsets: Int32, /) -> Result:
        """Do it for some texts.

        Args:
            vectors: ``float32[T, hidden]``, the token vectors of all texts.
            offsets: ``int32[B + 1]``; text ``i`` owns rows ``offsets[i]:offsets[i + 1]``.
        """

    def in_order(self, parts: Sequence[tuple[Int64, Result]], /) -> Result:
        """Join the results of several calls. With each come the places, ``int64[b]``, of the texts that it is of."""

    def split(self, result: Result, counts: Sequence[int], /) -> list[Result]:
        """Take a result apart: the first ``counts[0]`` texts, and so on."""

    def check(self, result: Result, position: Callable[[int], int], /) -> None:
        """Refuse numbers that are infinite or NaN, before anybody sees or keeps them.

        Args:
            result: of some texts.
            position: which text of the call each of them is, for the message.

        Raises:
            InvalidModelError: a text has such a number; it is named.
        """


@dataclass(frozen=True)
class Pool:
    """One vector for each text: pooling, the model's modules after it, and what the caller asked for.

    Attributes:
        pooling: how the model pools.
        modules: what follows pooling, in order.
        prompt_tokens: how many tokens at the start of each text are the prompt's.
        normalize: None, as the model's own modules say; True, unit length whatever they say, after cutting; False, not
            at all: the model's ``Normalize`` is passed over. A model that ends in ``Normalize`` gives unit length
            already; it is not done again, because that would change the last bits.
        truncate_dim: keep only so many leading dimensions (Kusupati et al., "Matryoshka Representation Learning",
            2022). The rest is cut after the modules, so unit length is lost unless ``normalize`` is True.
    """

    pooling: Pooling
    modules: tuple[Module, ...] = ()
    prompt_tokens: int = 0
    normalize: bool | None = None
    truncate_dim: int | None = None

    def __call__(self, vectors: Float32, offsets: Int32, /) -> Float32:
        """``float32[B, d]``. A text without tokens has zeros for its pooled vector."""
        return self.after_pooling(pool(vectors, offsets, self.pooling, self.prompt_tokens))

    def after_pooling(self, pooled: Float32) -> Float32:
        """From pooled vectors, ``float32[B, p]``, to the texts' vectors, ``float32[B, d]``."""
        vectors = pooled
        with np.errstate(over="ignore", invalid="ignore"):  # What is not finite is for check() to tell.
            for module in self.modules:
                if not (isinstance(module, Normalize) and self.normalize is False):
                    vectors = module(vectors)
            vectors = vectors[:, : self.truncate_dim]
            done = self.truncate_dim is None and bool(self.modules) and isinstance(self.modules[-1], Normalize)
            return normalize(vectors) if self.normalize and not done else vectors

    def in_order(self, parts: Sequence[tuple[Int64, Float32]], /) -> Float32:
        """``float32[n, d]``."""
        joined = np.empty((sum(len(places) for places, _ in parts), parts[0][1].shape[1]), dtype=np.float32)
        for places, vectors in parts:
            joined[places] = vectors
        return joined

    def split(self, result: Float32, counts: Sequence[int], /) -> list[Float32]:
        """Some rows after others."""
        return np.split(result, np.cumsum(counts)[:-1])

    def check(self, result: Float32, position: Callable[[int], int], /) -> None:
        """Each number of each vector."""
        if (row := _not_finite(result)) is not None:
            raise _broken(position(row))


@dataclass(frozen=True)
class EachToken:
    """The token vectors as they are."""

    def __call__(self, vectors: Float32, offsets: Int32, /) -> MultiVectors:
        """A vector for each token."""
        return MultiVectors(vectors, offsets)

    def in_order(self, parts: Sequence[tuple[Int64, MultiVectors]], /) -> MultiVectors:
        """All of them, text by text."""
        each = {place: rows for places, part in parts for place, rows in zip(places.tolist(), part, strict=True)}
        return MultiVectors.of([each[place] for place in range(len(each))])

    def split(self, result: MultiVectors, counts: Sequence[int], /) -> list[MultiVectors]:
        """Some texts after others."""
        ends = np.cumsum([0, *counts]).tolist()
        bounds = [result.offsets[start : end + 1] for start, end in itertools.pairwise(ends)]
        return [MultiVectors(result.vectors[each[0] : each[-1]], each - each[0]) for each in bounds]

    def check(self, result: MultiVectors, position: Callable[[int], int], /) -> None:
        """Each number of each token's vector."""
        if (row := _not_finite(result.vectors)) is not None:
            raise _broken(position(int(np.searchsorted(result.offsets, row, side="right")) - 1))


def _not_finite(vectors: Float32) -> int | None:
    """The first row with a number that is infinite or NaN, or None."""
    finite = np.isfinite(vectors)
    return None if finite.all() else int(np.flatnonzero(~finite.all(axis=1))[0])


def _broken(position: int) -> InvalidModelError:
    return InvalidModelError(
        f"the model gives text {position} a vector that is not finite (NaN or infinity). Its weights are broken, or "
        f"too large for this dtype: get the model's files again, or try dtype='float32'."
    )
