"""What was cut off in one call, and how it is told. Nothing is cut off in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pellucid.errors import TruncationError
from pellucid.text.checks import most_counted
from pellucid.types import Int32

OnTruncation = Literal["warn", "error", "ignore"]


@dataclass(frozen=True)
class Truncation:
    """A sum over the texts of a call.

    Attributes:
        texts, tokens: how many there were.
        cut: how many texts were longer than the model's longest.
        lost: how many tokens were cut off them.
        first: the position of the first text that was cut, or None.
        at_least: whether a text was not counted to its end, so that ``tokens`` and ``lost`` are the least there are.
    """

    texts: int = 0
    tokens: int = 0
    cut: int = 0
    lost: int = 0
    first: int | None = None
    at_least: bool = False

    @classmethod
    def of(cls, counts: Int32, max_tokens: int) -> Truncation:
        """Of the texts with ``counts`` tokens (``int32[n]``), special tokens included, as ``Tokenizer.tokenize`` counts
        them: up to :func:`~pellucid.text.checks.most_counted`.
        """
        if counts.max(initial=0) <= max_tokens:  # Nearly always, and a query feels every step.
            return cls(len(counts), int(counts.sum(dtype=np.int64)))
        most = most_counted(max_tokens)
        counts = np.minimum(counts, most)
        over = np.flatnonzero(counts > max_tokens)
        return cls(
            texts=len(counts),
            tokens=int(counts.sum(dtype=np.int64)),
            cut=len(over),
            lost=int((counts[over] - max_tokens).sum(dtype=np.int64)),
            first=int(over[0]) if len(over) else None,
            at_least=bool((counts == most).any()),
        )

    def __add__(self, later: Truncation) -> Truncation:
        """Both, ``later`` being of the texts that follow."""
        after = None if later.first is None else self.texts + later.first
        return Truncation(
            self.texts + later.texts,
            self.tokens + later.tokens,
            self.cut + later.cut,
            self.lost + later.lost,
            after if self.first is None else self.first,
            self.at_least or later.at_least,
        )

    def describe(self, max_tokens: int) -> str:
        """The sentence that tells it."""
        lost = f"{self.lost:,} of {self.tokens:,} tokens ({self.lost / max(self.tokens, 1):.1%})"
        if self.at_least:
            lost = f"at least {self.lost:,} tokens"
        return (
            f"{self.cut:,} of {self.texts:,} texts {'is' if self.cut == 1 else 'are'} longer than the model's "
            f"{max_tokens} tokens (the first is text {self.first}): {lost} lie beyond"
        )


def cut_from(counts: Int32, max_tokens: int, on_truncation: OnTruncation, first: int) -> Truncation:
    """What is to be cut off texts of ``counts`` tokens (``int32[n]``), unless that is an error.

    Raises:
        TruncationError: something is, and ``on_truncation`` is "error"; positions count from ``first``.
    """
    truncation = Truncation.of(counts, max_tokens)
    if truncation.cut and on_truncation == "error":
        raise TruncationError(
            f"{(Truncation(texts=first) + truncation).describe(max_tokens)}. Split them, or take "
            f"on_truncation='warn' or 'ignore' to cut them."
        )
    return truncation
