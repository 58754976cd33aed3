"""The values that the packages pass to each other: small frozen dataclasses of arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

import numpy as np
import numpy.typing as npt

from pellucid.errors import InputError, plural
from pellucid.reprs import short_repr

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int8 = npt.NDArray[np.int8]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int8, np.int32, np.float32)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of several texts that were ranked.

    Attributes:
        index: the text's position in what was ranked.
        score: how well it matches; higher is better. The method that ranks says what the score is.
    """

    index: int
    score: float


def _check_total(tokens: int) -> None:
    if tokens > np.iinfo(np.int32).max:
        raise InputError(f"{tokens:,} tokens are too many for one call. embed_stream takes any number.")


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """The token ids of several texts, laid end to end without padding.

    Attributes:
        ids: ``int32[T]``, the token ids of all texts, special tokens included.
        offsets: ``int32[B + 1]``; text ``i`` owns ``ids[offsets[i]:offsets[i + 1]]``.
        segments: ``int8[T]``, the segment of each token: 0 in the first text of a pair, 1 in the second. None if every
            token has segment 0.
        attended: ``int32[B]``: only the first ``attended[i]`` tokens of text ``i`` are looked at by its tokens; it has
            at least one such token. None if tokens look at all tokens of their text.

    >>> batch = TokenBatch.from_sequences([[101, 7592, 102], [101, 102]])
    >>> batch.ids
    array([ 101, 7592,  102,  101,  102], dtype=int32)
    >>> batch.offsets
    array([0, 3, 5], dtype=int32)
    """

    ids: Int32
    offsets: Int32
    segments: Int8 | None = None
    attended: Int32 | None = None

    @classmethod
    def from_sequences(cls, sequences: Sequence[Sequence[int] | Int32]) -> TokenBatch:
        """Lay sequences of token ids end to end.

        Raises:
            InputError: there are more tokens than int32 can count.
        """
        arrays = [np.asarray(sequence, dtype=np.int32) for sequence in sequences]
        offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        _check_total(int(offsets[-1]))
        ids = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int32)
        return cls(ids, offsets.astype(np.int32))

    def __repr__(self) -> str:
        pairs = "" if self.segments is None else ", with segments"
        return f"TokenBatch({plural(len(self), 'text')}, {plural(len(self.ids), 'token')}{pairs})"

    def __len__(self) -> int:
        """The number of texts, ``B``."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int32:
        """``int32[B]``: the number of tokens of each text."""
        return self.offsets[1:] - self.offsets[:-1]  # np.diff gives the same, but takes longer.

    def __iter__(self) -> Iterator[Int32]:
        """The ids of each text, as views."""
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield self.ids[start:end]

    @classmethod
    def join(cls, batches: Sequence[TokenBatch]) -> TokenBatch:
        """Join at least one batch into one, with all the texts in order.

        Raises:
            InputError: there are more tokens than int32 can count.
        """
        if len(batches) == 1:
            return batches[0]
        _check_total(sum(len(batch.ids) for batch in batches))
        starts = np.cumsum([0, *(len(batch.ids) for batch in batches)], dtype=np.int32)
        offsets = [batch.offsets[:-1] + start for batch, start in zip(batches, starts, strict=False)]
        segments = None
        if any(batch.segments is not None for batch in batches):
            segments = np.concatenate(
                [np.zeros(len(batch.ids), np.int8) if batch.segments is None else batch.segments for batch in batches]
            )
        attended = None
        if any(batch.attended is not None for batch in batches):
            attended = np.concatenate([b.lengths if b.attended is None else b.attended for b in batches])
        ids = np.concatenate([batch.ids for batch in batches])
        return cls(ids, np.concatenate([*offsets, starts[-1:]]), segments, attended)

    def pick(self, positions: Int32) -> TokenBatch:
        """One token of each text, as a text of its own. ``positions`` is ``int32[B]``, where it is in its text."""
        chosen = self.offsets[:-1] + positions
        segments = None if self.segments is None else self.segments[chosen]
        return TokenBatch(self.ids[chosen], np.arange(len(self) + 1, dtype=np.int32), segments)

    def part(self, start: int, stop: int) -> TokenBatch:
        """The texts from ``start`` up to, but not including, ``stop``, as views."""
        offsets = self.offsets[start : stop + 1]
        first, last = offsets[0], offsets[-1]
        segments = None if self.segments is None else self.segments[first:last]
        attended = None if self.attended is None else self.attended[start:stop]
        return TokenBatch(self.ids[first:last], offsets - first, segments, attended)

    def select(self, indices: Int64) -> TokenBatch:
        """The texts at ``indices`` (``int64[N]``), in that order."""
        if len(self) == len(indices) == 1:
            return self
        if len(indices) and indices[-1] - indices[0] == len(indices) - 1 and (indices[1:] > indices[:-1]).all():
            return self.part(int(indices[0]), int(indices[-1]) + 1)
        runs = Runs(self.offsets[:-1][indices], self.lengths[indices])
        segments = None if self.segments is None else runs.gather(self.segments)
        attended = None if self.attended is None else self.attended[indices]
        return TokenBatch(runs.gather(self.ids), runs.offsets, segments, attended)


class Runs:
    """Parts of an array that are to be laid end to end, in any order.

    Attributes:
        offsets: ``int32[n + 1]``: run ``i`` will be from ``offsets[i]`` up to ``offsets[i + 1]``.

    Args:
        starts: ``int32[n]``, the place of each run's first number.
        lengths: ``int32[n]``, how many numbers each run has.

    Raises:
        InputError: all runs together are longer than int32 can count.

    >>> Runs(np.array([3, 0], dtype=np.int32), np.array([2, 1], dtype=np.int32)).gather(np.array([5, 6, 7, 8, 9]))
    array([8, 9, 5])
    """

    def __init__(self, starts: Int32, lengths: Int32) -> None:
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        _check_total(int(offsets[-1]))
        self.offsets: Int32 = offsets.astype(np.int32)
        self._places = np.arange(self.offsets[-1], dtype=np.int32)
        self._places += np.repeat(starts - self.offsets[:-1], lengths)

    def gather(self, array: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """The runs of this array, end to end. Of a matrix, they are rows."""
        return array.take(self._places, axis=0)


@dataclass(frozen=True, eq=False)
class MultiVectors:
    """Any number of vectors for each of several texts, laid end to end.

    Attributes:
        vectors: ``float32[T, d]``.
        offsets: ``int32[B + 1]``; text ``i`` owns ``vectors[offsets[i]:offsets[i + 1]]``.
    """

    vectors: Float32
    offsets: Int32

    def select(self, kept: npt.NDArray[np.bool_]) -> MultiVectors:
        """Only the vectors where ``kept``, ``bool[T]``, is True. A text may have none left."""
        if kept.all():
            return self
        counts = np.append(0, np.cumsum(kept, dtype=np.int64))
        return MultiVectors(self.vectors[kept], counts[self.offsets].astype(np.int32))

    @classmethod
    def concatenate(cls, arrays: Sequence[Float32]) -> MultiVectors:
        """Lay the vectors of at least one text end to end. Each array holds one text's vectors, ``float32[n, d]``."""
        return cls(np.concatenate(arrays), np.cumsum([0, *map(len, arrays)], dtype=np.int32))

    @classmethod
    def join(cls, parts: Sequence[MultiVectors]) -> MultiVectors:
        """Join at least one part into one, with all the texts in order."""
        offsets = np.cumsum(np.append(0, np.concatenate([part.lengths for part in parts])), dtype=np.int32)
        return cls(np.concatenate([part.vectors for part in parts]), offsets)

    def __repr__(self) -> str:
        count, size = self.vectors.shape
        return f"MultiVectors({plural(len(self), 'text')}, {plural(count, 'vector')} of {size:,} numbers)"

    def __len__(self) -> int:
        """The number of texts, ``B``."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int32:
        """How many vectors each text has, ``int32[B]``."""
        return self.offsets[1:] - self.offsets[:-1]

    @overload
    def __getitem__(self, key: int) -> Float32: ...
    @overload
    def __getitem__(self, key: slice | npt.ArrayLike) -> MultiVectors: ...
    def __getitem__(self, key: Any) -> Float32 | MultiVectors:
        """The vectors of one text, by its position; or of several: by a slice, positions, or booleans.

        Raises:
            IndexError: there is no such text.
        """
        chosen = np.arange(len(self))[key]
        starts, lengths = self.offsets[:-1][chosen], self.lengths[chosen]
        if not chosen.ndim:
            return self.vectors[starts : starts + lengths]
        if len(chosen) and (np.diff(chosen) == 1).all():  # A view.
            return MultiVectors(
                self.vectors[starts[0] : starts[-1] + lengths[-1]],
                np.append(starts, starts[-1] + lengths[-1]) - starts[0],
            )
        runs = Runs(starts, lengths)
        return MultiVectors(runs.gather(self.vectors), runs.offsets)

    def __iter__(self) -> Iterator[Float32]:
        """The vectors of each text, as views."""
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield self.vectors[start:end]


def check_tokens(tokens: TokenBatch, vocab_size: int, max_tokens: int, token_types: int) -> None:
    """Check a batch that a caller made, before an engine relies on it.

    Args:
        tokens: the batch.
        vocab_size: every id must be below it.
        max_tokens: how many tokens a text may have.
        token_types: how many token types the model has. A token's segment is its token type, so it must be below this.

    Raises:
        InputError: ``tokens`` is not a batch, its arrays are not ids, offsets and segments, an id or a segment is out
            of range, or a text is too long. The message gives the text's position.
    """
    if not isinstance(tokens, TokenBatch):
        raise InputError(f"tokens is of type {type(tokens).__name__}. Make a TokenBatch with from_sequences.")
    for name, array in (("ids", tokens.ids), ("offsets", tokens.offsets)):
        if not isinstance(array, np.ndarray) or array.dtype != np.int32 or array.ndim != 1:
            raise InputError(f"the {name} of a TokenBatch must be a one-dimensional int32 array.")
    lengths, ids = tokens.lengths, tokens.ids
    if (
        not len(tokens.offsets)
        or tokens.offsets[0] != 0
        or tokens.offsets[-1] != len(ids)
        or (np.diff(tokens.offsets.astype(np.int64)) < 0).any()
    ):
        raise InputError("the offsets of a TokenBatch must rise from 0 to the number of its ids.")
    if (found := _find_out_of_range(tokens, ids, vocab_size)) is not None:
        text, number = found
        raise InputError(describe_wrong_id(f"text {text}", number, vocab_size))
    if len(too_long := np.flatnonzero(lengths > max_tokens)):
        text = int(too_long[0])
        raise InputError(f"text {text} has {lengths[text]} tokens, but the model reads at most {max_tokens}.")
    if tokens.segments is not None:
        _check_segments(tokens, tokens.segments, token_types)
    if tokens.attended is not None:
        _check_attended(tokens, tokens.attended)


def describe_wrong_id(owner: str, token_id: int, vocab_size: int) -> str:
    """Say that ``owner``, such as "text 3", has a token id that the model does not have."""
    return f"{owner} has the token id {token_id}, but this model's ids are 0 to {vocab_size - 1}."


def _check_segments(tokens: TokenBatch, segments: Int8, token_types: int) -> None:
    if not isinstance(segments, np.ndarray) or segments.dtype != np.int8 or segments.shape != tokens.ids.shape:
        raise InputError("the segments of a TokenBatch must be an int8 array with one number for each id.")
    end = max(1, token_types)
    if (found := _find_out_of_range(tokens, segments, end)) is not None:
        text, number = found
        raise InputError(f"text {text} has the segment {number}, but this model's segments are 0 to {end - 1}.")


def _check_attended(tokens: TokenBatch, attended: Int32) -> None:
    if not isinstance(attended, np.ndarray) or attended.dtype != np.int32 or attended.shape != (len(tokens),):
        raise InputError("attended of a TokenBatch must be an int32 array with one number for each text.")
    if len(wrong := np.flatnonzero((attended < 1) | (attended > tokens.lengths))):
        text = int(wrong[0])
        raise InputError(f"text {text} has {tokens.lengths[text]} tokens, so attended cannot be {attended[text]}.")


def _find_out_of_range(tokens: TokenBatch, numbers: Int32 | Int8, end: int) -> tuple[int, int] | None:
    """The first of the tokens' numbers that is not in ``[0, end)``: its text's position, and the number itself."""
    wrong = np.flatnonzero((numbers < 0) | (numbers >= end))
    if not len(wrong):
        return None
    return int(np.searchsorted(tokens.offsets, wrong[0], side="right")) - 1, int(numbers[wrong[0]])


@dataclass(frozen=True)
class Token:
    """A token of a text, as :meth:`pellucid.text.tokenizer.Tokenizer.inspect` shows it.

    Attributes:
        id: its id, which is its row in the embedding table.
        piece: its spelling in the vocabulary.
        start: the first of the characters that it was made from, counted in prompt + text.
        end: the character after the last of them; equal to ``start`` for a special token.
        kind: "special" for a token that the model adds, "unknown" for text that the vocabulary cannot spell, or "text".
        continues: True if it continues the word of the token before it.
    """

    id: int
    piece: str
    start: int
    end: int
    kind: Literal["special", "unknown", "text"]
    continues: bool

    __repr__ = short_repr


@dataclass(frozen=True)
class TokenizedText:
    """A text as the tokenizer sees it.

    Attributes:
        normalized: prompt + text after the tokenizer's normalizer, which lower-cases, strips accents and the like.
        tokens: the tokens that the encoder reads.
        cut: the tokens that were cut off, in the text's order.
        finished: False if the text was too long to read to its end. ``normalized`` and ``cut`` then cover only the part
            that was read.
    """

    normalized: str
    tokens: tuple[Token, ...]
    cut: tuple[Token, ...]
    finished: bool = True

    __repr__ = short_repr
