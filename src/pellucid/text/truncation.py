"""Counts what was cut off in one call, and says so. Nothing is cut off silently, unless the caller asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pellucid.errors import TruncationError, TruncationWarning, plural, warn
from pellucid.text.checks import counting_limit
from pellucid.types import Int32

OnTruncation = Literal["warn", "error", "cut", "ignore"]
"""What to do with texts that are too long. "ignore" is the older name of "cut"."""


@dataclass(frozen=True)
class Truncation:
    """Totals over the texts of a call.

    Attributes:
        texts: the number of texts.
        tokens: the number of their tokens.
        cut: how many of the texts were too long for the model.
        lost: how many tokens were cut off these texts.
        first: the position of the first text that was too long; None if there was none.
        at_least: True if a text was not counted to its end. ``tokens`` and ``lost`` are then lower bounds.
        unit: what a message calls one of them: "text", or "pair" for two texts that the model reads together.
    """

    texts: int = 0
    tokens: int = 0
    cut: int = 0
    lost: int = 0
    first: int | None = None
    at_least: bool = False
    unit: str = "text"

    @classmethod
    def from_counts(cls, counts: Int32, max_tokens: int, unit: str = "text") -> Truncation:
        """Add up the token counts of texts, ``int32[n]``, special tokens included.

        ``Tokenizer.tokenize`` gives these counts, and stops counting at
        :func:`~pellucid.text.checks.counting_limit`.
        """
        if counts.max(initial=0) <= max_tokens:  # The usual case. For a query, every step here takes noticeable time.
            return cls(len(counts), int(counts.sum(dtype=np.int64)), unit=unit)
        limit = counting_limit(max_tokens)
        counts = np.minimum(counts, limit)
        over = np.flatnonzero(counts > max_tokens)
        return cls(
            texts=len(counts),
            tokens=int(counts.sum(dtype=np.int64)),
            cut=len(over),
            lost=int((counts[over] - max_tokens).sum(dtype=np.int64)),
            first=int(over[0]) if len(over) else None,
            at_least=bool((counts == limit).any()),
            unit=unit,
        )

    def __add__(self, later: Truncation) -> Truncation:
        """The totals of both. The texts of ``later`` follow these."""
        later_first = None if later.first is None else self.texts + later.first
        return Truncation(
            self.texts + later.texts,
            self.tokens + later.tokens,
            self.cut + later.cut,
            self.lost + later.lost,
            later_first if self.first is None else self.first,
            self.at_least or later.at_least,
            later.unit,
        )

    def describe(self, max_tokens: int) -> str:
        """A sentence for a message: how many texts are too long, and by how much."""
        lost = f"{self.lost:,} of {plural(self.tokens, 'token')} ({self.lost / max(self.tokens, 1):.1%})"
        if self.at_least:
            lost = f"at least {plural(self.lost, 'token')}"
        return (
            f"{self.cut:,} of {plural(self.texts, self.unit)} {'is' if self.cut == 1 else 'are'} longer than the "
            f"model's {max_tokens} tokens (the first is {self.unit} {self.first}): {lost} "
            f"{'is' if self.lost == 1 else 'are'} over the limit"
        )


def check_truncation(
    counts: Int32, max_tokens: int, on_truncation: OnTruncation, first: int, *, unit: str = "text"
) -> Truncation:
    """Add up what will be cut off texts.

    Args:
        counts: ``int32[n]``, how many tokens each text has.
        max_tokens: how many tokens of a text the model reads.
        on_truncation: "error" to refuse a text that is too long.
        first: the position of the first text, for the message.
        unit: what the message calls a text.

    Raises:
        TruncationError: a text is too long, and ``on_truncation`` is "error".
    """
    truncation = Truncation.from_counts(counts, max_tokens, unit)
    if truncation.cut and on_truncation == "error":
        total = Truncation(texts=first) + truncation
        raise TruncationError(
            f"{total.describe(max_tokens)}. {'Split' if unit == 'text' else 'Shorten'} them, or pass "
            f"on_truncation='cut' to cut them.",
            total.first,
        )
    return truncation


def warn_about_truncation(truncation: Truncation, max_tokens: int, on_truncation: OnTruncation) -> None:
    """Warn about what was cut off, if anything was and ``on_truncation`` is "warn"."""
    if truncation.cut and on_truncation == "warn":
        were = "was" if truncation.lost == 1 else "were"
        warn(TruncationWarning(f"{truncation.describe(max_tokens)} and {were} cut off.", truncation.first))
