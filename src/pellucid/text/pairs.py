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
from pellucid.types import Int8, Int32, TokenBatch


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


def kept_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each text of a pair are kept if there is room for so many.

    >>> kept_lengths(5, 20, 30), kept_lengths(5, 20, 15), kept_lengths(20, 5, 15), kept_lengths(20, 30, 15)
    ((5, 20), (5, 10), (10, 5), (7, 8))
    """
    if first + second <= room:
        return first, second
    shorter = min(first, second)
    if 2 * shorter <= room:
        return (first, room - first) if first == shorter else (room - second, second)
    half, rest = room // 2, room - room // 2
    return (half, rest) if first <= second else (rest, half)


@dataclass(frozen=True)
class PairTexts:
    """The texts of pairs, each different text once, so that it is tokenized once.

    Attributes:
        texts: the different texts.
        firsts, seconds: for each pair, the numbers of its first and its second text in ``texts``.
    """

    texts: list[str]
    firsts: list[int]
    seconds: list[int]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]], prompt: str = "") -> PairTexts:
        """The texts of these pairs. ``prompt`` goes before each first text.

        >>> PairTexts.of([("q", "a"), ("q", "b"), ("a", "a")])
        PairTexts(texts=['q', 'a', 'b'], firsts=[0, 0, 1], seconds=[1, 2, 1])
        """
        numbers: dict[str, int] = {}
        prompted: dict[str, str] = {}  # A long query may come with thousands of documents: join it to its prompt once.
        firsts, seconds = [], []
        for first, second in pairs:
            if first not in prompted:
                prompted[first] = prompt + first
            firsts.append(numbers.setdefault(prompted[first], len(numbers)))
            seconds.append(numbers.setdefault(second, len(numbers)))
        return cls(list(numbers), firsts, seconds)


def join_pairs(
    firsts: Sequence[Int32],
    seconds: Sequence[Int32],
    template: PairTemplate,
    max_tokens: int,
    *,
    keep_end: bool,
    has_segments: bool,
) -> tuple[TokenBatch, Int32]:
    """Join the tokens of two texts each, without special tokens, into pairs.

    Args:
        firsts: the first text of each pair.
        seconds: the second text of each pair.
        template: where the special tokens go.
        max_tokens: the most tokens of a pair.
        keep_end: True if texts are cut at their start.
        has_segments: False to leave out the segments.

    Returns:
        The pairs, and ``int32[B]``: how many tokens each had before it was cut.
    """
    room = max_tokens - template.specials
    sequences: list[Int32] = []
    segments: list[Int8] = []
    for first, second in zip(firsts, seconds, strict=True):
        kept = kept_lengths(len(first), len(second), room)
        a, b = (ids[len(ids) - n :] if keep_end else ids[:n] for ids, n in zip((first, second), kept, strict=True))
        sequences.append(np.concatenate([template.before, a, template.between, b, template.after]))
        before, of_first, between, of_second, after = template.segments
        segments += [before, of_first.repeat(len(a)), between, of_second.repeat(len(b)), after]
    batch = TokenBatch.from_sequences(sequences)
    counts = np.array(
        [len(first) + len(second) + template.specials for first, second in zip(firsts, seconds, strict=True)],
        dtype=np.int32,
    )
    if not has_segments or not sequences:
        return batch, counts
    return TokenBatch(batch.ids, batch.offsets, np.concatenate(segments)), counts
