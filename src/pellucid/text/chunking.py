"""A long text to passages that a model reads whole: cut where a reader would cut, never longer than the model reads.

The text is tokenized once. Then it is cut, again and again, at the best place in the second half of what fits: before
a heading, between paragraphs, after a sentence, at the end of a line, between words; and inside a word only if it alone
is too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pellucid.checks import check_choice, check_whole
from pellucid.errors import OptionError
from pellucid.layers.norms import normalize
from pellucid.text.tokenizer import Tokenizer
from pellucid.types import Float32, Int64

Kind = Literal["text", "markdown", "code"]

_SECTION_CHARACTERS = 100_000
"""A longer text is cut here first, at a blank line if there is one, because tokenizing holds some 300 bytes a token."""

# How good a place each is to cut, from worst to best; a place is where the next passage begins. The patterns are for
# texts without spaces at their end, so that after spaces there is always something; and what looks at what follows the
# spaces, begins where they begin: else, of many that lead to nothing, it would go through the rest at each.
_WORD, _LINE, _SENTENCE, _PARAGRAPH, _HEADING = range(1, 6)
_PLACES: dict[Kind, tuple[tuple[int, re.Pattern[str]], ...]] = {
    "text": (
        (_WORD, re.compile(r"\s+")),
        (_LINE, re.compile(r"\n[ \t]*(?=\S)")),
        # A mark that ends a sentence, what may close after it, and a space; Chinese and Japanese need none.
        (_SENTENCE, re.compile(r"[.!?…]['\"”’)\]]*\s+|[。！？]['\"”’」』）]*(?=\S)")),
        (_PARAGRAPH, re.compile(r"\n[ \t\r]*\n\s*")),
    ),
    "markdown": ((_HEADING, re.compile(r"(?<!\s)(?=\s*?\n)\s++(?=#{1,6} |[^\n]+\n(?:===|---))")),),
    "code": (
        (_WORD, re.compile(r"\s+")),
        (_LINE, re.compile(r"\n[ \t]*(?=\S)")),
        (_PARAGRAPH, re.compile(r"\n[ \t\r]*\n\s*")),
        # What begins at the margin after a blank line: a function, a class.
        (_HEADING, re.compile(r"(?<!\s)(?=\s*?\n[ \t\r]*\n)\s++(?<=\n)(?![}\])])")),
    ),
}
_PLACES["markdown"] = _PLACES["text"] + _PLACES["markdown"]


@dataclass(frozen=True)
class Span:
    """A passage: the characters ``start`` to ``end`` of a text, and how many tokens they are, special ones included."""

    start: int
    end: int
    tokens: int


@dataclass(frozen=True, eq=False)
class LongText:
    """A text of any length, embedded without a loss.

    Attributes:
        spans: its passages.
        vectors: theirs, ``float32[len(spans), d]``.
        mean: of those, weighted by their tokens, ``float32[d]``; of unit length if the model's vectors are.
    """

    spans: tuple[Span, ...]
    vectors: Float32
    mean: Float32


def spans(
    text: str,
    tokenizer: Tokenizer,
    *,
    max_tokens: int | None = None,
    overlap: int = 0,
    kind: Kind = "text",
    prompt: str = "",
) -> Iterator[Span]:
    """Cut a text into passages.

    Args:
        text: any text. What is only spaces is in no passage.
        tokenizer: the model's.
        max_tokens: the most that a passage may have, special tokens and prompt included; None for what the model reads.
        overlap: about how many tokens at the end of a passage stand at the start of the next again; never more.
        kind: what the text is, which decides where to cut.
        prompt: what will be put before each passage.

    Yields:
        Passages in order. Every character that is no space is in one, and in more only by overlap.

    Raises:
        OptionError: ``max_tokens`` or ``overlap`` leaves no room, or there is no such ``kind``.
    """
    check_choice("kind", kind, get_args(Kind))
    longest = tokenizer.spec.max_tokens
    most = longest if max_tokens is None else check_whole("max_tokens", max_tokens, 1, longest, f"from 1 to {longest}")
    room = most - int(tokenizer.count([""], prompt)[0])
    if room < 1:
        raise OptionError(f"max_tokens={most} leaves no room beside the prompt and the special tokens.")
    overlap = check_whole("overlap", overlap, 0, room // 2, f"from 0 to half of the {room} tokens of a passage")
    for begin, end in _sections(text):
        section = text[begin:end]
        starts, ends = tokenizer.characters(section)
        starts = _past_spaces(section, starts, ends)
        covered = 0
        for first, last in _cut(section, starts, ends, room, overlap, kind):
            for span in _checked(text, begin + first, begin + last, tokenizer, most, prompt):
                if span.end > covered:  # Of a passage that was halved, one half may be all overlap.
                    yield span
                    covered = span.end


def passages(text: str, tokenizer: Tokenizer, *, overlap: int, kind: Kind, prompt: str) -> tuple[Span, ...]:
    """:func:`spans` of a text, at least one: nothing but spaces is a text too."""
    found = tuple(spans(text, tokenizer, overlap=overlap, kind=kind, prompt=prompt))
    return found or (Span(0, len(text), int(tokenizer.tokenize([text], prompt)[1][0])),)


def joined(found: tuple[Span, ...], vectors: Float32, *, unit_length: bool) -> LongText:
    """A text of passages and their vectors (``float32[len(found), d]``), with their mean."""
    weights = np.array([span.tokens for span in found], dtype=np.float32)
    mean: Float32 = weights @ vectors / max(weights.sum(), np.float32(1))  # "" may have no tokens at all.
    return LongText(found, vectors, normalize(mean[None])[0] if unit_length else mean)


def _sections(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while len(text) - start > _SECTION_CHARACTERS:
        limit = start + _SECTION_CHARACTERS
        found = (text.rfind(mark, start + _SECTION_CHARACTERS // 2, limit) for mark in ("\n\n", "\n", " "))
        end = next((place for place in found if place > 0), limit)
        yield start, end
        start = end
    yield start, len(text)


def _past_spaces(text: str, starts: Int64, ends: Int64) -> Int64:
    """Where each token's first character that is no space stands: byte-level tokens have the space before a word."""
    spaces = np.array([character.isspace() for character in text] + [False])
    starts = starts.copy()
    while (leading := spaces[starts] & (starts + 1 < ends)).any():
        starts += leading
    return starts


def _cut(text: str, starts: Int64, ends: Int64, room: int, overlap: int, kind: Kind) -> Iterator[tuple[int, int]]:
    """The characters of each passage, by the characters of the tokens: ``starts`` and ``ends`` are ``int64[T]``."""
    places, strengths = _places(text, kind)
    first = last = 0
    while first < len(starts):
        if len(starts) - first <= room:
            yield int(starts[first]), int(ends[-1])
            return
        limit = int(starts[first + room])
        low = max(int(starts[first + room // 2]), int(starts[last]) + 1)  # At least a token more than the last one had.
        following = _best(places, strengths, low, limit)
        last = int(np.searchsorted(starts, limit if following is None else following))
        if last <= first:  # One character of more tokens than fit, such as the bytes of an emoji.
            last = int(np.searchsorted(starts, starts[first], side="right"))
        yield int(starts[first]), int(ends[last - 1])
        again = (
            _best(places, strengths, int(starts[max(first + 1, last - overlap)]), int(starts[last - 1]))
            if overlap
            else None
        )
        first = last if again is None else int(np.searchsorted(starts, again))
        if starts[min(first + room, len(starts) - 1)] <= starts[min(last, len(starts) - 1)]:
            first = last  # With this overlap, nothing new would fit.


def _places(text: str, kind: Kind) -> tuple[Int64, Int64]:
    """Where to cut, in order, and how good each place is: ``int64[P]`` both."""
    strength: dict[int, int] = {}
    for value, pattern in _PLACES[kind]:
        for match in pattern.finditer(text.rstrip()):
            strength[match.end()] = max(value, strength.get(match.end(), 0))
    places = np.array(sorted(strength), dtype=np.int64)
    return places, np.array([strength[place] for place in places.tolist()], dtype=np.int64)


def _best(places: Int64, strengths: Int64, low: int, high: int) -> int | None:
    """The best place from ``low`` to ``high``; of equal ones, the last."""
    a, b = np.searchsorted(places, low, side="left"), np.searchsorted(places, high, side="right")
    return None if a >= b else int(places[b - 1 - int(np.argmax(strengths[a:b][::-1]))])


def _checked(text: str, start: int, end: int, tokenizer: Tokenizer, most: int, prompt: str) -> Iterator[Span]:
    """A passage, or its halves if it has more tokens alone than it had within the text, which is rare."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start == end:
        return
    tokens = int(tokenizer.tokenize([text[start:end]], prompt)[1][0])
    if tokens <= most or end - start == 1:
        yield Span(start, end, tokens)
        return
    middle = (start + end) // 2
    space = text.rfind(" ", start, middle)
    middle = space if space > start else middle
    yield from _checked(text, start, middle, tokenizer, most, prompt)
    yield from _checked(text, middle, end, tokenizer, most, prompt)
