"""How the token vectors of texts become results.

A finish is a frozen dataclass that describes how token vectors become the result, for example by pooling. Calling it
runs a few lines of NumPy. An engine may do the same work where its token vectors are: on a GPU, or inside the C++ core.
Its results must agree with these lines.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from pellucid.errors import InvalidModelError
from pellucid.layers.norms import Normalize
from pellucid.layers.pooling import Pooling, pool
from pellucid.layers.token_mask import TokenMask
from pellucid.layers.token_pooling import TokenPooling
from pellucid.reprs import short_repr
from pellucid.types import Float32, Int32, Int64, MultiVectors, TokenBatch

Result = TypeVar("Result")


class Module(Protocol):
    """A module after pooling: it turns ``float32[B, d]`` into ``float32[B, d']``."""

    def __call__(self, vectors: Float32, /) -> Float32:
        """Apply the module."""


@dataclass(frozen=True)
class Truncate:
    """Keeps only the first ``size`` numbers of each vector."""

    size: int

    def __call__(self, vectors: Float32, /) -> Float32:
        """Cut each row."""
        return vectors[:, : self.size].copy()  # A view would keep all dimensions in memory.


def apply_modules(modules: Iterable[Module], vectors: Float32) -> Float32:
    """Pass vectors through modules, in order."""
    with np.errstate(over="ignore", invalid="ignore"):  # Finish.check reports NaN and infinity.
        for module in modules:
            vectors = module(vectors)
    return vectors


class Finish(Protocol[Result]):
    """Turns the token vectors of texts into a result, such as one vector per text."""

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> Result:
        """Turn the token vectors of some texts into their result.

        Args:
            vectors: ``float32[T, hidden]``, the token vectors of all texts.
            tokens: the texts: row ``t`` of the vectors belongs to ``tokens.ids[t]``.
        """

    def wanted(self, lengths: Int32, /) -> Int32 | None:
        """The one token of each text that the result depends on, if there is only one.

        Args:
            lengths: ``int32[B]``, the number of tokens of each text.

        Returns:
            ``int32[B]``, its position in the text. These tokens and their vectors can then be passed as if each text
            had no other token. None if a result depends on several tokens, or a text has none.
        """

    def merge(self, parts: Iterable[tuple[Int64, Result]], texts: int, /) -> Result:
        """Merge the results of one or more engine calls into one.

        Args:
            parts: the result of each call, and before it the indices of that call's texts, ``int64[b]``. The calls
                together have the indices 0 to ``texts - 1``. An iterator may compute each result when it is asked for
                it, so that no more than one is held besides the merged result.
            texts: the number of texts, at least 1.

        Returns:
            The result of all texts, in the order of their indices.
        """

    def split(self, result: Result, counts: Sequence[int], /) -> list[Result]:
        """Split a result: the first ``counts[0]`` texts, the next ``counts[1]``, and so on."""

    def check(self, result: Result, position: Callable[[int], int], /) -> None:
        """Refuse NaN and infinity, before anybody sees or stores them.

        Args:
            result: the result of some texts.
            position: turns a text's index in ``result`` into its position in the caller's input, for the message.

        Raises:
            InvalidModelError: a text's result has NaN or infinity. The message names the text by its position.
        """


@dataclass(frozen=True)
class Pool:
    """One vector per text: pooling, the model's modules after it, and the changes that the caller asked for.

    Attributes:
        pooling: how the model pools.
        modules: the modules that follow pooling, in order.
        prompt_tokens: the number of tokens at the start of each text that belong to the prompt.
        normalize: None to do what the model's own modules say. True for unit length, whatever they say; a cut vector is
            normalized after the cut. False to skip the model's ``Normalize`` modules. If the model ends in
            ``Normalize`` and nothing is cut, True does not normalize a second time, since that would change the last
            bits.
        truncate_dim: keep only this many leading dimensions (Kusupati et al., "Matryoshka Representation Learning",
            2022); None for all. The cut comes after the modules, so the vectors lose their unit length unless
            ``normalize`` is True.
    """

    pooling: Pooling
    modules: tuple[Module, ...] = ()
    prompt_tokens: int = 0
    normalize: bool | None = None
    truncate_dim: int | None = None

    __repr__ = short_repr

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> Float32:
        """The vectors of the texts, ``float32[B, d]``. The pooled vector of a text without tokens is zeros."""
        return self.after_pooling(pool(vectors, tokens.offsets, self.pooling, self.prompt_tokens))

    def wanted(self, lengths: Int32, /) -> Int32 | None:
        """The first token or the last one, if the model pools that alone; see :meth:`Finish.wanted`."""
        if self.pooling.modes not in (("cls",), ("lasttoken",)) or not lengths.all() or self.skipped_tokens:
            return None
        return np.zeros_like(lengths) if self.pooling.modes == ("cls",) else lengths - 1

    @property
    def skipped_tokens(self) -> int:
        """The number of tokens at the start of each text that are not pooled: those of a prompt, for some models."""
        return 0 if self.pooling.include_prompt else self.prompt_tokens

    def after_pooling(self, pooled: Float32) -> Float32:
        """Turn pooled vectors, ``float32[B, p]``, into the vectors of the texts, ``float32[B, d]``."""
        return apply_modules(self.modules_to_apply, pooled)

    @property
    def modules_to_apply(self) -> tuple[Module, ...]:
        """What pooled vectors go through, in order: the model's modules, and the changes that the caller asked for."""
        modules = [each for each in self.modules if not (isinstance(each, Normalize) and self.normalize is False)]
        if self.truncate_dim is not None:
            modules.append(Truncate(self.truncate_dim))
        if self.normalize and not (modules and isinstance(modules[-1], Normalize)):
            modules.append(Normalize())
        return tuple(modules)

    def merge(self, parts: Iterable[tuple[Int64, Float32]], texts: int, /) -> Float32:
        """``float32[texts, d]``; see :meth:`Finish.merge`."""
        merged = np.empty((0, 0), dtype=np.float32)
        for indices, vectors in parts:
            if len(indices) == texts and (indices[1:] > indices[:-1]).all():
                return vectors  # All texts, in order.
            if not len(merged):
                merged = np.empty((texts, vectors.shape[1]), dtype=np.float32)
            merged[indices] = vectors
        return merged

    def split(self, result: Float32, counts: Sequence[int], /) -> list[Float32]:
        """Consecutive rows, as views."""
        return np.split(result, np.cumsum(counts)[:-1])

    def check(self, result: Float32, position: Callable[[int], int], /) -> None:
        """Check every number of every vector."""
        if (row := _first_not_finite(result)) is not None:
            raise _not_finite_error(position(row))


@dataclass(frozen=True)
class EachToken:
    """The token vectors themselves.

    Attributes:
        modules: what each vector goes through, in order; without any, the vectors stay as they are.
        mask: which tokens have a vector; None for all.
        pooling: how similar vectors of a text are merged at the end; None if they are not.
    """

    modules: tuple[Module, ...] = ()
    mask: TokenMask | None = None
    pooling: TokenPooling | None = None

    __repr__ = short_repr

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> MultiVectors:
        """The vectors of each text's tokens."""
        return self.after_modules(apply_modules(self.modules, vectors), tokens)

    def after_modules(self, vectors: Float32, tokens: TokenBatch) -> MultiVectors:
        """Turn vectors that have gone through the modules, ``float32[T, d]``, into the vectors of the texts."""
        texts = MultiVectors(vectors, tokens.offsets)
        if self.mask is not None:
            texts = texts.select(self.mask.kept(tokens))
        # Merging vectors that are not finite makes no sense. check() reports them.
        can_merge = self.pooling is not None and bool(np.isfinite(texts.vectors).all())
        return self.pooling(texts) if self.pooling is not None and can_merge else texts

    def wanted(self, lengths: Int32, /) -> None:  # noqa: ARG002
        """All tokens count; see :meth:`Finish.wanted`."""
        return

    def merge(self, parts: Iterable[tuple[Int64, MultiVectors]], texts: int, /) -> MultiVectors:
        """The vectors of all texts; see :meth:`Finish.merge`."""
        kept: list[tuple[Int64, MultiVectors]] = []
        lengths = np.empty(texts, dtype=np.int32)
        for indices, part in parts:
            if len(indices) == texts and (indices[1:] > indices[:-1]).all():
                return part  # All texts, in order.
            kept.append((indices, part))
            lengths[indices] = np.diff(part.offsets)
        offsets = np.append(0, np.cumsum(lengths, dtype=np.int64))
        vectors = np.empty((offsets[-1], kept[0][1].vectors.shape[1]), dtype=np.float32)
        for indices, part in kept:
            moves = offsets[indices] - part.offsets[:-1]  # How far each text's rows move.
            vectors[np.arange(len(part.vectors)) + np.repeat(moves, np.diff(part.offsets))] = part.vectors
        return MultiVectors(vectors, offsets.astype(np.int32))

    def split(self, result: MultiVectors, counts: Sequence[int], /) -> list[MultiVectors]:
        """Consecutive texts."""
        ends = np.cumsum([0, *counts]).tolist()
        parts = [result.offsets[start : end + 1] for start, end in itertools.pairwise(ends)]
        return [MultiVectors(result.vectors[part[0] : part[-1]], part - part[0]) for part in parts]

    def check(self, result: MultiVectors, position: Callable[[int], int], /) -> None:
        """Check every number of every token's vector."""
        if (row := _first_not_finite(result.vectors)) is not None:
            raise _not_finite_error(position(int(np.searchsorted(result.offsets, row, side="right")) - 1))


@dataclass(frozen=True)
class Several:
    """Several results of the same texts, from one pass through the encoder: a tuple of what each finish gives."""

    finishes: tuple[Finish[Any], ...]

    __repr__ = short_repr

    def __call__(self, vectors: Float32, tokens: TokenBatch, /) -> tuple[Any, ...]:
        """The result of each finish."""
        return tuple(finish(vectors, tokens) for finish in self.finishes)

    def wanted(self, lengths: Int32, /) -> Int32 | None:
        """The one token of each text that all results depend on; see :meth:`Finish.wanted`."""
        first, *others = (finish.wanted(lengths) for finish in self.finishes)
        if first is None or any(other is None or not np.array_equal(first, other) for other in others):
            return None
        return first

    def merge(self, parts: Iterable[tuple[Int64, tuple[Any, ...]]], texts: int, /) -> tuple[Any, ...]:
        """The merged result of each finish; see :meth:`Finish.merge`."""
        kept = list(parts)
        return tuple(
            finish.merge(((indices, results[place]) for indices, results in kept), texts)
            for place, finish in enumerate(self.finishes)
        )

    def split(self, result: tuple[Any, ...], counts: Sequence[int], /) -> list[tuple[Any, ...]]:
        """The results of consecutive texts."""
        columns = [finish.split(part, counts) for finish, part in zip(self.finishes, result, strict=True)]
        return list(zip(*columns, strict=True))

    def check(self, result: tuple[Any, ...], position: Callable[[int], int], /) -> None:
        """Check the result of each finish."""
        for finish, part in zip(self.finishes, result, strict=True):
            finish.check(part, position)


def _first_not_finite(vectors: Float32) -> int | None:
    """The index of the first row with NaN or infinity; None if there is no such row."""
    finite = np.isfinite(vectors)
    return None if finite.all() else int(np.flatnonzero(~finite.all(axis=1))[0])


def _not_finite_error(position: int) -> InvalidModelError:
    return InvalidModelError(
        f"the model gives text {position} a vector that is not finite (NaN or infinity). Its weights are broken, or "
        f"too large for this dtype. Get the model's files again, or try dtype='float32'."
    )
