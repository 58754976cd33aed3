"""The values that travel between the rooms: small, frozen, made of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pellucid.errors import InputError

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Token ids of several texts, laid end to end: ragged, with no padding anywhere.

    Attributes:
        ids: ``int32[T]``, the token ids of all texts, special tokens included.
        offsets: ``int32[B + 1]``; text ``i`` owns ``ids[offsets[i]:offsets[i + 1]]``.
        segments: ``int8[T]``, the type of each token, where some texts are pairs: 0 for the first text of a pair, 1 for
            the second; None if all are of type 0.

    >>> batch = TokenBatch.from_sequences([[101, 7592, 102], [101, 102]])
    >>> batch.ids
    array([ 101, 7592,  102,  101,  102], dtype=int32)
    >>> batch.offsets
    array([0, 3, 5], dtype=int32)
    """

    ids: Int32
    offsets: Int32
    segments: Int8 | None = None

    @classmethod
    def from_sequences(cls, sequences: Sequence[Sequence[int] | Int32]) -> TokenBatch:
        """Lay sequences of token ids end to end.

        Raises:
            InputError: they are more than int32 can count.
        """
        arrays = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
        offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        if offsets[-1] > np.iinfo(np.int32).max:
            raise InputError(f"{offsets[-1]:,} tokens are too many for one call; embed_stream takes any number.")
        ids = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int32)
        return cls(ids, offsets.astype(np.int32))

    def __len__(self) -> int:
        """The number of texts, ``B``."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int32:
        """``int32[B]``: the number of tokens of each text."""
        return self.offsets[1:] - self.offsets[:-1]  # what np.diff gives, sooner

    def __iter__(self) -> Iterator[Int32]:
        """The ids of each text in turn, as views."""
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield self.ids[start:end]

    @classmethod
    def join(cls, batches: Sequence[TokenBatch]) -> TokenBatch:
        """The texts of several batches in one, in order; there must be at least one batch."""
        if len(batches) == 1:
            return batches[0]
        before = np.cumsum([0, *(len(batch.ids) for batch in batches)], dtype=np.int32)
        starts = [batch.offsets[:-1] + start for batch, start in zip(batches, before, strict=False)]
        segments = None
        if any(batch.segments is not None for batch in batches):
            segments = np.concatenate(
                [np.zeros(len(each.ids), np.int8) if each.segments is None else each.segments for each in batches]
            )
        return cls(np.concatenate([batch.ids for batch in batches]), np.concatenate([*starts, before[-1:]]), segments)

    def part(self, start: int, stop: int) -> TokenBatch:
        """The texts ``start`` to ``stop``, as views."""
        offsets = self.offsets[start : stop + 1]
        first, last = offsets[0], offsets[-1]
        segments = None if self.segments is None else self.segments[first:last]
        return TokenBatch(self.ids[first:last], offsets - first, segments)

    def select(self, indices: Int64) -> TokenBatch:
        """The texts at ``indices`` (``int64[N]``), in that order."""
        if len(self) == len(indices) == 1:
            return self
        spans = list(zip(self.offsets[indices].tolist(), self.offsets[indices + 1].tolist(), strict=True))
        chosen = TokenBatch.from_sequences([self.ids[start:end] for start, end in spans])
        if self.segments is None:
            return chosen
        segments = np.concatenate([self.segments[start:end] for start, end in spans])
        return TokenBatch(chosen.ids, chosen.offsets, segments)


@dataclass(frozen=True, eq=False)
class MultiVectors:
    """Several vectors for each of several texts, laid end to end.

    Attributes:
        vectors: ``float32[T, d]``.
        offsets: ``int32[B + 1]``; text ``i`` owns ``vectors[offsets[i]:offsets[i + 1]]``.
    """

    vectors: Float32
    offsets: Int32

    @classmethod
    def of(cls, each: Sequence[Float32]) -> MultiVectors:
        """Lay the vectors of texts, ``float32[n, d]`` each, end to end; there must be at least one text."""
        return cls(np.concatenate(each), np.cumsum([0, *map(len, each)], dtype=np.int32))

    def __len__(self) -> int:
        """The number of texts, ``B``."""
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[Float32]:
        """The vectors of each text in turn, as views."""
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield self.vectors[start:end]


def check_tokens(tokens: TokenBatch, vocab_size: int, max_tokens: int) -> None:
    """Judge a batch that somebody else has made, before an engine takes it at its word.

    Args:
        tokens: the batch.
        vocab_size: ids are below it.
        max_tokens: the most that a text may have.

    Raises:
        InputError: no batch, arrays that are no ids and offsets, an id out of range, or a text that is too long; the
            text is named by position.
    """
    if not isinstance(tokens, TokenBatch):
        raise InputError(f"tokens is of type {type(tokens).__name__}; TokenBatch.from_sequences makes what it must be.")
    for name, array in (("ids", tokens.ids), ("offsets", tokens.offsets)):
        if not isinstance(array, np.ndarray) or array.dtype != np.int32 or array.ndim != 1:
            raise InputError(f"the {name} of a TokenBatch must be an int32 array of one dimension.")
    lengths, ids = tokens.lengths, tokens.ids
    if (
        not len(tokens.offsets)
        or tokens.offsets[0] != 0
        or tokens.offsets[-1] != len(ids)
        or (np.diff(tokens.offsets.astype(np.int64)) < 0).any()
    ):
        raise InputError("the offsets of a TokenBatch must rise from 0 to the number of its ids.")
    if len(wrong := np.flatnonzero((ids < 0) | (ids >= vocab_size))):
        text = int(np.searchsorted(tokens.offsets, wrong[0], side="right")) - 1
        raise InputError(f"text {text} has the token id {ids[wrong[0]]}; the model's are from 0 to {vocab_size - 1}.")
    if len(long := np.flatnonzero(lengths > max_tokens)):
        raise InputError(f"text {long[0]} has {lengths[long[0]]} tokens, and the model reads {max_tokens} at most.")


@dataclass(frozen=True)
class Token:
    """A token of a text, for those who want to look.

    Attributes:
        id: its row in the table of words.
        piece: how the vocabulary spells it.
        start: of the characters that it was made from, in prompt + text, the first.
        end: the one after the last; equal to ``start`` for a token that the model adds.
        kind: "special" for one that the model adds, "unknown" for what the vocabulary does not have, else "text".
        continues: whether it goes on with the word of the token before it.
    """

    id: int
    piece: str
    start: int
    end: int
    kind: Literal["special", "unknown", "text"]
    continues: bool


@dataclass(frozen=True)
class TokenizedText:
    """A text as the tokenizer sees it.

    Attributes:
        normalized: prompt + text after lower-casing, accents and whatever else the tokenizer changes first.
        tokens: what the encoder reads.
        cut: what was cut off, in the text's order.
        finished: whether the text was read to its end. A long one is not: ``normalized`` and ``cut`` are of the part
            that was read.
    """

    normalized: str
    tokens: tuple[Token, ...]
    cut: tuple[Token, ...]
    finished: bool = True
