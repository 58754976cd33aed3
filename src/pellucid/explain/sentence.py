"""What a comparison's numbers say, in one or two sentences of plain words. They never say more than the numbers do.

A pair of words adds to a cosine if the two words' vectors point the same way. That is not proof that the words mean the
same, so the sentences only say how much each pair adds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from pellucid.explain.comparison import Comparison
from pellucid.explain.shares import Float64
from pellucid.explain.trace import Trace
from pellucid.explain.words import WordShares, is_mark, trace_words

_LITTLE = 0.2
"""Below this cosine, little connects two texts."""
_ZERO = 0.005
"""A cosine closer to 0 than this is shown as 0.00."""
_MOST = 0.5
_MIN_FRAME = 0.1
"""A frame that adds less than this part of the cosine is not mentioned."""
_MIN_DROP = 0.01
_MAX_NAMED = 3
_MAX_CHARACTERS = 30
"""Of a longer word, the sentence shows only the start."""


def comparison_sentence(comparison: Comparison) -> str:
    """Say why two texts are as close as they are."""
    first, second = comparison.first, comparison.second
    sides = {"first": trace_words(first), "second": trace_words(second)}
    if empty := [side for side, words in sides.items() if not words]:
        if len(empty) > 1:
            return "Neither text has words: both vectors are made only of what the model adds to every text."
        return f"The {empty[0]} text has no words: its vector is made only of what the model adds to every text."
    if [token.id for token in first.tokens] == [token.id for token in second.tokens]:
        return "The model reads the same tokens in both texts, so it cannot tell them apart."
    shares = comparison.word_shares
    if shares is None:
        return drops_sentence(
            comparison.cosine,
            _largest_drop(first, comparison.first_shares),
            _largest_drop(second, comparison.second_shares),
        )
    frame_name = "special tokens and the prompt" if first.prompt or second.prompt else "special tokens"
    return pairs_sentence(comparison.cosine, pairs_without_marks(shares, _MAX_NAMED), shares.frame, frame_name)


def pairs_without_marks(shares: WordShares, count: int) -> list[tuple[str, str, float]]:
    """The pairs of words that add most, as of :meth:`~pellucid.explain.words.WordShares.top`, but without marks.

    People do not call a comma or a sign a word. If no other pair adds anything, marks are there after all.
    """
    without_marks = [pair for pair in shares.top(count, lambda word: not is_mark(word)) if pair[2] > 0]
    return without_marks or shares.top(count)


def pairs_sentence(
    cosine: float, pairs: Sequence[tuple[str, str, float]], frame: float, frame_name: str = "special tokens"
) -> str:
    """Say which pairs of words make a cosine.

    Args:
        cosine: the sum of what all pairs of words and the frame add.
        pairs: at least one ``(word of the first text, word of the second text, what it adds)``, largest first.
        frame: what all pairs of tokens add that are not pairs of words.
        frame_name: what the frame consists of, in the plural.

    >>> pairs_sentence(0.6, [("cat", "kitten", 0.4), ("the", "the", 0.1)], 0.03)
    'Mostly because of “cat” and “kitten” (67% of the cosine).'
    """
    if cosine < _LITTLE:
        return _weak_pairs_sentence(cosine, pairs[0])
    if cosine - frame <= 0:
        return (
            f"All of it comes from the frame: {frame_name}, which the model adds to every text. Together, the words "
            f"add nothing to the cosine."
        )
    strongest = pairs[0][2]
    portions = [(_link(first, second), share / cosine) for first, second, share in pairs[:_MAX_NAMED] if share > 0]
    sums = list(itertools.accumulate(portion for _, portion in portions))
    part_of_frame = frame / cosine
    if part_of_frame >= _MOST:
        return (
            f"Mostly the frame: {part_of_frame:.0%} of the cosine comes from {frame_name}, which the model adds to "
            f"every text. Of the words, the strongest pair is {_listed(portions[:1])}."
        )
    if sums[-1] >= _MOST:
        enough = next(count for count, portion in enumerate(sums, 1) if portion >= _MOST)
        sentence = f"Mostly because of {_listed(portions[:enough])}."
    else:
        close = [link for link, (_, _, share) in zip(portions, pairs, strict=False) if share >= strongest / 2]
        sentence = f"No single pair of words decides it. The strongest is {_listed(close)}."
    if part_of_frame >= _MIN_FRAME:
        sentence += f" {part_of_frame:.0%} comes from the frame: {frame_name}, which the model adds to every text."
    if sums[-1] + max(part_of_frame, 0) > 1 + _ZERO:
        sentence += " Other pairs take some of it away."
    return sentence


def drops_sentence(cosine: float, first: tuple[str, float], second: tuple[str, float]) -> str:
    """Say which tokens matter most, for a model whose cosine cannot be divided among pairs.

    Args:
        cosine: the cosine of the two texts.
        first: the most important token of the first text, and how much the cosine falls without it.
        second: the same for the second text.

    >>> drops_sentence(0.6, ("cat", 0.2), ("kitten", 0.15))
    'Without “cat” in the first text, the cosine falls by 0.20. Without “kitten” in the second text, it falls by 0.15.'
    """
    if cosine < _ZERO:
        return "Nothing connects them: the cosine is not above 0."
    if cosine < _LITTLE:
        return f"Little connects them: the cosine is only {cosine:.2f}."
    drops = [(which, *side) for which, side in (("first", first), ("second", second)) if side[1] >= _MIN_DROP]
    if not drops:
        return f"No single token matters much: without any one of them, the cosine falls by less than {_MIN_DROP}."
    return " ".join(
        f"Without {_quoted(word)} in the {which} text, {'it' if number else 'the cosine'} falls by {drop:.2f}."
        for number, (which, word, drop) in enumerate(drops)
    )


def _weak_pairs_sentence(cosine: float, strongest: tuple[str, str, float]) -> str:
    """Say that little connects two texts, or nothing."""
    if cosine <= -_ZERO:
        return "Nothing connects them: together, the pairs of tokens subtract more than they add."
    if cosine < _ZERO:
        return "Nothing connects them: what the pairs of tokens add and what they subtract cancel out."
    first, second, share = strongest
    if share <= 0:
        return "Little connects them, and no pair of words adds to the cosine."
    amount = f"only {share:.3f}" if share >= 0.001 else "less than 0.001"  # noqa: PLR2004
    return f"Little connects them: even the strongest pair of words, {_link(first, second)}, adds {amount}."


def _listed(portions: list[tuple[str, float]]) -> str:
    """The pairs, strongest first, each with its part of the cosine."""
    units = [" of the cosine", *[""] * len(portions)]
    named = [f"{link} ({_percent(portion)}{unit})" for (link, portion), unit in zip(portions, units, strict=False)]
    return ", then ".join(named)


def _percent(portion: float) -> str:
    return "less than 1%" if portion < _ZERO else f"{portion:.0%}"


def _link(first: str, second: str) -> str:
    if first.casefold() == second.casefold():
        return f"{_quoted(first)} in both texts"
    return f"{_quoted(first)} and {_quoted(second)}"


def _quoted(word: str) -> str:
    return f"“{word}”" if len(word) <= _MAX_CHARACTERS else f"“{word[:_MAX_CHARACTERS]}…”"


def _largest_drop(trace: Trace, drops: Float64) -> tuple[str, float]:
    """The token without which the cosine falls most, as the characters that it was made from, and how much it falls.

    Spaces around them are left out. Of a token that is nothing else, the piece is named.
    """
    index = int(np.argmax(drops))
    token = trace.tokens[index]
    return (trace.prompt + trace.text)[token.start : token.end].strip() or token.piece, float(drops[index])
