"""Tokens joined to words, and a comparison's shares summed over them: people read words, not pieces of words.

Words are found by the characters that tokens were made from, not by how a vocabulary spells its pieces. So WordPiece,
SentencePiece and byte-level BPE give the same words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.explain.comparison import Comparison
from pellucid.explain.shares import Float64
from pellucid.explain.trace import Trace
from pellucid.reprs import short_repr
from pellucid.types import Int64, Token
from pellucid.vectors.best import largest

# Scripts that put no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, Kana, Chinese characters.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

_MARKS = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk"})
"""The categories of Unicode (https://www.unicode.org/reports/tr44/#General_Category_Values) that are marks."""


@dataclass(frozen=True)
class Word:
    """A word of a traced text, or a mark such as a comma.

    Attributes:
        text: its characters, as the text has them.
        start: its first character, counted in prompt + text.
        end: the character after its last.
        tokens: the positions of its tokens in ``Trace.tokens``.
    """

    text: str
    start: int
    end: int
    tokens: tuple[int, ...]

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class WordShares:
    """A cosine, or another score, as a sum over pairs of words.

    Attributes:
        first: the words of the first text.
        second: the words of the second text.
        shares: ``float64[n, m]``: how much word i of the first text and word j of the second add to the score.
        frame: what all other pairs of tokens add: those with a special token, a token of a prompt, or a token that
            spells only spaces. ``shares.sum() + frame`` is the score.
    """

    first: tuple[Word, ...]
    second: tuple[Word, ...]
    shares: Float64
    frame: float

    __repr__ = short_repr

    def top(self, count: int, keep: Callable[[str], bool] = lambda _: True) -> list[tuple[str, str, float]]:
        """The pairs of words that add most to the score, largest first.

        Each is ``(word of the first text, word of the second text, share)``. Words that differ only in case are the
        same word, spelled as where it first occurs. A pair that occurs several times is listed once, with the sum of
        its shares.

        Args:
            count: the most pairs to give.
            keep: says of a word whether pairs with it count.
        """
        (first, rows), (second, columns) = _spellings(self.first, keep), _spellings(self.second, keep)
        sums = _sum_pairs(self.shares, rows, columns, (len(first), len(second)))
        pairs = zip(*np.unravel_index(largest(sums.ravel(), count), sums.shape), strict=True) if sums.size else ()
        return [(first[i], second[j], float(sums[i, j])) for i, j in pairs]


def trace_words(trace: Trace) -> tuple[Word, ...]:
    """The words of a traced text that the model reads, without its prompt."""
    return find_words(trace.tokens, trace.prompt + trace.text, len(trace.prompt))


def find_words(tokens: Sequence[Token], text: str, start: int = 0) -> tuple[Word, ...]:
    """Join tokens to words.

    A word is a run of letters, digits and underscores; an apostrophe between letters, or a point or comma between
    digits, belongs to it. Any other mark is a word of its own. So is each token of a script that puts no spaces between
    words, such as Chinese. Special tokens, and tokens that spell only spaces, belong to no word.

    Args:
        tokens: the tokens, in order.
        text: the text that ``Token.start`` and ``Token.end`` count in.
        start: leave out tokens that end before this character, such as those of a prompt.

    >>> tokens = [Token(7, "play", 0, 4, "text", False), Token(9, "##ing", 4, 7, "text", True)]
    >>> [word.text for word in find_words(tokens, "playing")]
    ['playing']
    """
    words: list[Word] = []
    for position, token in enumerate(tokens):
        begin, end = without_spaces(text, max(token.start, start), token.end)
        if token.kind == "special" or begin >= end:
            continue
        last = words[-1] if words else None
        # The tokens of one character, such as the bytes of an emoji, have the same span.
        if last is not None and (begin < last.end or (begin == last.end and _is_within_word(text, begin))):
            begin, end = min(begin, last.start), max(end, last.end)
            words[-1] = Word(text[begin:end], begin, end, (*last.tokens, position))
        else:
            words.append(Word(text[begin:end], begin, end, (position,)))
    return tuple(words)


def is_mark(word: str) -> bool:
    """Whether a word is only marks such as a comma. An emoji is not a mark."""
    return all(unicodedata.category(character) in _MARKS for character in word)


def sum_over_words(numbers: Float64, words: Sequence[Word]) -> Float64:
    """Sum the numbers of tokens over words: from ``float64[n, d]`` to ``float64[len(words), d]``."""
    sums = np.zeros((len(words) + 1, numbers.shape[1]))
    np.add.at(sums, _word_of_tokens(len(numbers), words), numbers)
    return sums[:-1]


def word_shares(comparison: Comparison) -> WordShares | None:
    """How much each pair of words adds to the cosine; None if the comparison has no pairs.

    :attr:`Comparison.word_shares <pellucid.explain.comparison.Comparison.word_shares>` computes this once.
    """
    if comparison.pairs is None:
        return None
    first, second = trace_words(comparison.first), trace_words(comparison.second)
    rows, columns = (
        _word_of_tokens(len(trace.tokens), words)
        for trace, words in ((comparison.first, first), (comparison.second, second))
    )
    shares = _sum_pairs(comparison.pairs, rows, columns, (len(first), len(second)))
    return WordShares(first, second, shares, float(comparison.pairs.sum() - shares.sum()))


def word_pairs(comparison: Comparison, count: int = 10) -> list[tuple[str, str, float]]:
    """The pairs of words that add most, as of :meth:`WordShares.top`; an empty list if the comparison has no pairs."""
    found = comparison.word_shares
    return [] if found is None else found.top(count)


def _word_of_tokens(count: int, words: Sequence[Word]) -> Int64:
    """The number of the word that each token belongs to, ``int64[count]``; ``len(words)`` for a token of no word."""
    numbers = np.full(count, len(words))
    for number, word in enumerate(words):
        numbers[list(word.tokens)] = number
    return numbers


def _spellings(words: Sequence[Word], keep: Callable[[str], bool]) -> tuple[list[str], Int64]:
    """The different words that are kept, in the order of their first use, and which of them each word is.

    Returns:
        ``k`` words, and ``int64[n]``: ``k`` for a word that is not kept.
    """
    spellings: dict[str, str] = {}
    for word in words:
        spellings.setdefault(word.text.casefold(), word.text)
    kept = {key: spelling for key, spelling in spellings.items() if keep(spelling)}
    numbers = {key: number for number, key in enumerate(kept)}
    which = [numbers.get(word.text.casefold(), len(kept)) for word in words]
    return list(kept.values()), np.array(which, dtype=np.int64)


def _sum_pairs(values: Float64, rows: Int64, columns: Int64, shape: tuple[int, int]) -> Float64:
    """Sum a table over groups of its rows and of its columns.

    Args:
        values: ``float64[n, m]``.
        rows: ``int64[n]``: the group of each row, from 0; rows of the group ``shape[0]`` are left out.
        columns: ``int64[m]``: the same for columns and ``shape[1]``.
        shape: the numbers of groups, ``(k, l)``.

    Returns:
        ``float64[k, l]``.
    """
    height, width = shape[0] + 1, shape[1] + 1
    places = rows[:, None] * width + columns
    # NumPy's stubs say that the result has integers, with weights too.
    sums: Float64 = np.bincount(places.ravel(), values.ravel(), minlength=height * width)  # type: ignore[assignment]
    return sums.reshape(height, width)[:-1, :-1]


def without_spaces(text: str, start: int, end: int) -> tuple[int, int]:
    """The characters from ``start`` to ``end``, without the spaces at both ends."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _is_within_word(text: str, place: int) -> bool:
    """Whether the characters before and after a place belong to the same word."""
    if unicodedata.category(text[place]).startswith("M"):  # An accent, or a vowel sign, belongs to its letter.
        return True
    before, after = text[place - 1], text[place]
    if _WITHOUT_SPACES.match(before) or _WITHOUT_SPACES.match(after):
        return False
    return all(_is_letter(text, neighbour) for neighbour in (place - 1, place))


def _is_letter(text: str, place: int) -> bool:
    """Whether a character is a letter, a digit or an underscore, or a mark that holds two of them together."""
    character = text[place]
    if character.isalnum() or character == "_" or unicodedata.category(character).startswith("M"):
        return True
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if character in "'’":
        return before.isalpha() and after.isalpha()
    return character in ".," and before.isdigit() and after.isdigit()
