"""Pairs of texts as the tokens that a cross-encoder reads: both texts in one sequence, special tokens around them.

A pair that is too long is cut as the ``tokenizers`` library does it with the strategy "longest first", which
sentence-transformers uses: only the longer text is cut, until both have the same length; then both are.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.reprs import short_repr
from pellucid.types import Int8, Int32, Runs, TokenBatch


@dataclass(frozen=True, eq=False)
class PairTemplate:
    """The special tokens of a pair, each ``int32[n]``, and the segment of each token.

    Attributes:
        before, between, after: the ids of the special tokens before, between and after the two texts.
        segments: the segments of those before, of the first text, those between, the second text, and those after:
            ``int8[n]`` for special tokens, ``int8[1]`` for a text.
    """

    before: Int32
    between: Int32
    after: Int32
    segments: tuple[Int8, Int8, Int8, Int8, Int8]

    __repr__ = short_repr

    @property
    def specials(self) -> int:
        """The number of special tokens."""
        return len(self.before) + len(self.between) + len(self.after)


def find_template(
    ids: Sequence[int], segments: Sequence[int], first: Sequence[int], second: Sequence[int]
) -> PairTemplate | None:
    """Find the template of a pair of words.

    Args:
        ids: the ids of the pair.
        segments: the segment of each token.
        first: the ids of the first word alone.
        second: those of the second.

    Returns:
        None if the pair does not have each word exactly once, in this order.
    """
    places = [_places(ids, word) for word in (first, second)]
    if [len(found) for found in places] != [1, 1] or places[0][0] + len(first) > places[1][0]:
        return None
    start, other = places[0][0], places[1][0]
    cuts = (0, start, start + len(first), other, other + len(second), len(ids))
    before, _, between, _, after = (np.array(ids[begin:end], dtype=np.int32) for begin, end in itertools.pairwise(cuts))
    kinds = [np.array(segments[begin:end], dtype=np.int8) for begin, end in itertools.pairwise(cuts)]
    return PairTemplate(before, between, after, (kinds[0], kinds[1][:1], kinds[2], kinds[3][:1], kinds[4]))


def _places(ids: Sequence[int], word: Sequence[int]) -> list[int]:
    """Where a word's ids stand; nowhere for a word without ids."""
    starts = range(len(ids) - len(word) + 1) if word else ()
    return [start for start in starts if list(ids[start : start + len(word)]) == list(word)]


def kept_lengths(first: Int32, second: Int32, room: int) -> tuple[Int32, Int32]:
    """How many tokens of each text of pairs are kept if there is room for ``room`` of both.

    Args:
        first: ``int32[n]``, how many tokens the first text of each pair has.
        second: the same for the second texts.
        room: for how many tokens of both texts together there is room.

    >>> first, second = np.array([5, 5, 20, 20], np.int32), np.array([8, 20, 5, 30], np.int32)
    >>> kept_lengths(first, second, 15)
    (array([ 5,  5, 10,  7], dtype=int32), array([ 8, 10,  5,  8], dtype=int32))
    """
    shorter = np.minimum(np.minimum(first, second), room // 2)
    longer = np.minimum(np.maximum(first, second), room - shorter)
    first_is_shorter = first <= second
    return np.where(first_is_shorter, shorter, longer), np.where(first_is_shorter, longer, shorter)


@dataclass(frozen=True)
class PairTexts:
    """The texts of pairs, each different text once, so that it is tokenized once.

    Attributes:
        texts: the different texts.
        firsts, seconds: for each pair, the numbers of its first and its second text in ``texts``.
        max_second_tokens: the most tokens of a second text; None for all.
    """

    texts: list[str]
    firsts: list[int]
    seconds: list[int]
    max_second_tokens: int | None = None

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]], prompt: str = "", max_second_tokens: int | None = None) -> PairTexts:
        """The texts of these pairs. ``prompt`` goes before each first text.

        >>> PairTexts.of([("q", "a"), ("q", "b"), ("a", "a")])
        PairTexts(texts=['q', 'a', 'b'], firsts=[0, 0, 1], seconds=[1, 2, 1], max_second_tokens=None)
        """
        numbers: dict[str, int] = {}
        prompted: dict[str, str] = {}  # A long query may come with thousands of documents: join it to its prompt once.
        firsts, seconds = [], []
        for first, second in pairs:
            if first not in prompted:
                prompted[first] = prompt + first
            firsts.append(numbers.setdefault(prompted[first], len(numbers)))
            seconds.append(numbers.setdefault(second, len(numbers)))
        return cls(list(numbers), firsts, seconds, max_second_tokens)


def join_pairs(
    plain: TokenBatch,
    pair_texts: PairTexts,
    template: PairTemplate,
    max_tokens: int,
    *,
    keep_end: bool,
    has_segments: bool,
) -> tuple[TokenBatch, Int32]:
    """Join the tokens of two texts each into pairs.

    Args:
        plain: the tokens of the pairs' texts, without special tokens.
        pair_texts: the pairs.
        template: where the special tokens go.
        max_tokens: the most tokens of a pair.
        keep_end: True if texts are cut at their start.
        has_segments: False to leave out the segments.

    Returns:
        The pairs, and ``int32[B]``: how many tokens each had before it was cut to ``max_tokens``.

    Raises:
        InputError: there are more tokens than int32 can count.
    """
    numbers = np.array([pair_texts.firsts, pair_texts.seconds], dtype=np.int64).T  # int64[B, 2]
    whole = plain.lengths[numbers]
    begin, end = plain.offsets[:-1][numbers], plain.offsets[1:][numbers]
    if pair_texts.max_second_tokens is not None:
        whole[:, 1] = np.minimum(whole[:, 1], pair_texts.max_second_tokens)
    kept = np.stack(kept_lengths(whole[:, 0], whole[:, 1], max_tokens - template.specials), axis=1)
    specials = (template.before, template.between, template.after)
    # Each pair is five runs of the ids: special tokens, its first text, special tokens, its second text, special ones.
    starts, lengths = np.empty((2, len(numbers), 5), dtype=np.int32)
    starts[:, 1::2] = end - kept if keep_end else begin
    lengths[:, 1::2] = kept
    lengths[:, ::2] = [len(ids) for ids in specials]
    starts[:, ::2] = len(plain.ids) + np.cumsum([0, *map(len, specials[:2])])
    runs = Runs(starts.ravel(), lengths.ravel())
    ids, offsets = runs.gather(np.concatenate([plain.ids, *specials])), runs.offsets[::5].copy()
    counts = whole.sum(axis=1, dtype=np.int32) + np.int32(template.specials)
    if not has_segments or not len(numbers):
        return TokenBatch(ids, offsets), counts
    return TokenBatch(ids, offsets, _segments(template, lengths)), counts


def _segments(template: PairTemplate, lengths: Int32) -> Int8:
    """The segment of each token of pairs whose five runs have these lengths, ``int32[B, 5]``."""
    most = lengths.max(axis=0)
    rows = [part if n % 2 == 0 else part.repeat(most[n]) for n, part in enumerate(template.segments)]
    starts = np.cumsum([0, *map(len, rows[:-1])], dtype=np.int32)
    return Runs(np.tile(starts, len(lengths)), lengths.ravel()).gather(np.concatenate(rows))
