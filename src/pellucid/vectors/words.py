"""The words that tell a group's texts from the other texts."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence

import numpy as np

from pellucid.common_words import is_common
from pellucid.types import Int64

_WORD = re.compile(r"[^\W\d_][\w'’-]*[^\W_]")
_MAX_WORD_CHARACTERS = 40
"""Scripts without spaces give whole sentences as one word, which name nothing."""


def telling_words(texts: Sequence[str], labels: Int64, count: int = 3) -> list[tuple[str, ...]]:
    """For each group of texts, the words that set it apart from the other texts.

    A word's score is the share of the group's texts that have it, minus the share of the other texts that have it.
    Common words of English ("the", "how") are left out. So are words of a single text, in a group of more than two
    texts that has other words to offer. Upper and lower case count as the same.

    Args:
        texts: the texts.
        labels: ``int64[n]``, the group of each text, from 0.
        count: how many words to give for a group.

    Returns:
        A tuple for each group, the most telling word first. It is empty if no word sets the group apart, as in
        languages that are written without spaces.

    >>> telling_words(["Rent is due.", "Pay the rent!", "A dog barks.", "Dogs and a dog."], np.array([0, 0, 1, 1]))
    [('rent', 'due', 'pay'), ('dog', 'barks', 'dogs')]
    """
    sizes = np.bincount(labels)
    counts: list[collections.Counter[str]] = [collections.Counter() for _ in sizes]
    for text, label in zip(texts, labels.tolist(), strict=True):
        counts[label].update(_words(text))
    total: collections.Counter[str] = collections.Counter()
    for own in counts:
        total.update(own)
    return [_most_telling(own, total, int(size), len(texts), count) for own, size in zip(counts, sizes, strict=True)]


def _words(text: str) -> set[str]:
    """The words of a text that may name a group, each once, in lower case."""
    words = {match.group().lower() for match in _WORD.finditer(text)}
    return {word for word in words if len(word) <= _MAX_WORD_CHARACTERS and not is_common(word)}


def _most_telling(
    own: collections.Counter[str], total: collections.Counter[str], size: int, texts: int, count: int
) -> tuple[str, ...]:
    """The words with the highest scores; of equal scores, the first in the alphabet.

    Args:
        own: how many texts of the group have each word.
        total: how many texts of all groups have it.
        size: how many texts the group has.
        texts: how many texts there are.
        count: how many words to give.
    """
    others = max(texts - size, 1)
    scores = {word: n / size - (total[word] - n) / others for word, n in own.items()}
    telling = [word for _, word in sorted((-score, word) for word, score in scores.items() if score > 0)]
    shared = [word for word in telling if own[word] > 1]
    return tuple((shared if shared and size > 2 else telling)[:count])  # noqa: PLR2004
