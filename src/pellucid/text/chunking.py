"""Cuts a long text into chunks that a model reads whole, at the places where a person would cut.

The text is tokenized once. Then it is cut repeatedly, each time at the best place in the second half of what fits. From
best to worst, these places are: before a heading, between paragraphs, after a sentence, at the end of a line, and
between words. A word is cut only if it alone is too long.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from pellucid.checks import check_choice, check_integer
from pellucid.errors import OptionError, plural
from pellucid.layers.norms import normalize
from pellucid.text.tokenizer import Tokenizer
from pellucid.types import Float32, Int64

Kind = Literal["text", "markdown", "code"]

_SECTION_CHARACTERS = 100_000
"""A longer text is first cut into sections of at most this length, at a blank line if there is one, because tokenizing
takes about 300 bytes of memory per token."""

# The kinds of places to cut, from worst to best. A place is where the next chunk begins. The patterns are for texts
# without spaces at their end, so something always follows a run of spaces. A pattern that looks beyond a run of spaces
# may only start at its first space. Otherwise it would scan the rest of a long run again from every space in it.
_WORD, _LINE, _SENTENCE, _PARAGRAPH, _HEADING = range(1, 6)
_PLACES: dict[Kind, tuple[tuple[int, re.Pattern[str]], ...]] = {
    "text": (
        (_WORD, re.compile(r"\s+")),
        (_LINE, re.compile(r"\n[ \t]*(?=\S)")),
        # A mark that ends a sentence, closing quotes or brackets, and a space. Chinese and Japanese need no space.
        (_SENTENCE, re.compile(r"[.!?…]['\"”’)\]]*\s+|[。！？]['\"”’」』）]*(?=\S)")),
        (_PARAGRAPH, re.compile(r"\n[ \t\r]*\n\s*")),
    ),
    "markdown": ((_HEADING, re.compile(r"(?<!\s)(?=\s*?\n)\s++(?=#{1,6} |[^\n]+\n(?:===|---))")),),
    "code": (
        (_WORD, re.compile(r"\s+")),
        (_LINE, re.compile(r"\n[ \t]*(?=\S)")),
        (_PARAGRAPH, re.compile(r"\n[ \t\r]*\n\s*")),
        # A line without indentation after a blank line, such as the start of a function or a class.
        (_HEADING, re.compile(r"(?<!\s)(?=\s*?\n[ \t\r]*\n)\s++(?<=\n)(?![}\])])")),
    ),
}
_PLACES["markdown"] = _PLACES["text"] + _PLACES["markdown"]


@dataclass(frozen=True)
class Span:
    """A chunk of a text.

    Attributes:
        start: its first character.
        end: the character after its last.
        tokens: the number of its tokens, with the prompt and the special tokens.
    """

    start: int
    end: int
    tokens: int


@dataclass(frozen=True, eq=False)
class LongText:
    """A text of any length, embedded without losing any of it.

    Attributes:
        spans: its chunks.
        vectors: the vectors of the chunks, ``float32[len(spans), d]``.
        mean: the mean of these vectors, weighted by tokens, ``float32[d]``. It has unit length if the vectors do.
    """

    spans: tuple[Span, ...]
    vectors: Float32
    mean: Float32

    def __repr__(self) -> str:
        tokens = sum(span.tokens for span in self.spans)
        return f"LongText({plural(len(self.spans), 'chunk')}, {plural(tokens, 'token')}, {len(self.mean):,} numbers)"


def spans(
    text: str,
    tokenizer: Tokenizer,
    *,
    max_tokens: int | None = None,
    overlap: int = 0,
    kind: Kind = "text",
    prompt: str = "",
) -> Iterator[Span]:
    """Cut a text into chunks.

    Args:
        text: any text. Spaces between chunks belong to none of them.
        tokenizer: the model's tokenizer.
        max_tokens: how many tokens a chunk may have, special tokens and prompt included; None for the model's limit.
        overlap: about how many tokens at the end of a chunk to repeat at the start of the next; never more.
        kind: the kind of text, which decides where to cut.
        prompt: the prompt that will go before each chunk.

    Yields:
        The chunks, in order. Every character except spaces is in a chunk. It is in more than one only by overlap.

    Raises:
        OptionError: ``max_tokens`` or ``overlap`` leaves no room for text, or ``kind`` is unknown.
    """
    check_choice("kind", kind, get_args(Kind))
    limit = tokenizer.spec.max_tokens
    if max_tokens is None:
        max_tokens = limit
    max_tokens = check_integer("max_tokens", max_tokens, 1, limit, f"from 1 to {limit}")
    room = max_tokens - int(tokenizer.count([""], prompt)[0])
    if room < 1:
        raise OptionError(f"max_tokens={max_tokens} leaves no room besides the prompt and the special tokens.")
    overlap = check_integer("overlap", overlap, 0, room // 2, f"from 0 to half of the {room} tokens of a chunk")
    for begin, end in _sections(text):
        section = text[begin:end]
        starts, ends = tokenizer.characters(section)
        starts = _skip_spaces(section, starts, ends)
        covered = 0
        for first, last in _cut(section, starts, ends, room, overlap, kind):
            for span in _halve_if_too_long(text, begin + first, begin + last, tokenizer, max_tokens, prompt):
                if span.end > covered:  # If a chunk was halved, the first half may be nothing but overlap.
                    yield span
                    covered = span.end


def spans_or_whole(text: str, tokenizer: Tokenizer, *, overlap: int, kind: Kind, prompt: str) -> tuple[Span, ...]:
    """The :func:`spans` of a text; if there are none, because it is only spaces, one span for the whole text."""
    found = tuple(spans(text, tokenizer, overlap=overlap, kind=kind, prompt=prompt))
    return found or (Span(0, len(text), int(tokenizer.tokenize([text], prompt)[1][0])),)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Find the sentences of a text: where each begins and ends, without the spaces around it.

    A sentence ends as a chunk would: after a mark such as ``.``, ``!`` or ``。``, or at a blank line. An abbreviation
    such as "Dr. Who" ends one too early.

    >>> list(sentences("It rained. We stayed in."))
    [(0, 10), (11, 24)]
    """
    places, ranks = _places(text, "text")
    starts = [place for place, rank in zip(places.tolist(), ranks.tolist(), strict=True) if rank >= _SENTENCE]
    for begin, end in itertools.pairwise([0, *starts, len(text)]):
        passage = text[begin:end]
        if stripped := passage.strip():
            start = begin + len(passage) - len(passage.lstrip())
            yield start, start + len(stripped)


def join_chunks(chunks: tuple[Span, ...], vectors: Float32, *, unit_length: bool) -> LongText:
    """Join chunks and their vectors, ``float32[len(chunks), d]``, and compute the mean."""
    weights = np.array([span.tokens for span in chunks], dtype=np.float32)
    mean: Float32 = weights @ vectors / max(weights.sum(), np.float32(1))  # "" may have no tokens at all.
    return LongText(chunks, vectors, normalize(mean[None])[0] if unit_length else mean)


def _sections(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text into sections of at most ``_SECTION_CHARACTERS`` characters."""
    start = 0
    while len(text) - start > _SECTION_CHARACTERS:
        limit = start + _SECTION_CHARACTERS
        places = (text.rfind(mark, start + _SECTION_CHARACTERS // 2, limit) for mark in ("\n\n", "\n", " "))
        end = next((place for place in places if place > 0), limit)
        yield start, end
        start = end
    yield start, len(text)


def _skip_spaces(text: str, starts: Int64, ends: Int64) -> Int64:
    """Move the start of each token past its leading spaces: a byte-level token includes the space before its word."""
    is_space = np.array([character.isspace() for character in text] + [False])
    starts = starts.copy()
    while (leading := is_space[starts] & (starts + 1 < ends)).any():
        starts += leading
    return starts


def _cut(text: str, starts: Int64, ends: Int64, room: int, overlap: int, kind: Kind) -> Iterator[tuple[int, int]]:
    """Cut a section into chunks of at most ``room`` tokens.

    Args:
        text: the section.
        starts: ``int64[T]``, the first character of each token.
        ends: ``int64[T]``, the character after the last of each token.
        room: how many tokens a chunk may have, without special tokens and prompt.
        overlap: about how many tokens to repeat.
        kind: the kind of text.

    Yields:
        The first character of each chunk, and the character after its last.
    """
    places, ranks = _places(text, kind)
    first = last = 0  # The tokens of a chunk are those from first up to, but not including, last.
    while first < len(starts):
        if len(starts) - first <= room:
            yield int(starts[first]), int(ends[-1])
            return
        limit = int(starts[first + room])
        low = max(int(starts[first + room // 2]), int(starts[last]) + 1)  # At least one token beyond the previous end.
        end = _best_place(places, ranks, low, limit)
        last = int(np.searchsorted(starts, limit if end is None else end))
        if last <= first:  # A single character has more tokens than fit, such as the bytes of an emoji.
            last = int(np.searchsorted(starts, starts[first], side="right"))
        yield int(starts[first]), int(ends[last - 1])
        restart = (
            _best_place(places, ranks, int(starts[max(first + 1, last - overlap)]), int(starts[last - 1]))
            if overlap
            else None
        )
        first = last if restart is None else int(np.searchsorted(starts, restart))
        if starts[min(first + room, len(starts) - 1)] <= starts[min(last, len(starts) - 1)]:
            first = last  # With this overlap, nothing new would fit.


def _places(text: str, kind: Kind) -> tuple[Int64, Int64]:
    """The places where a text may be cut, in order, and the rank of each: two arrays ``int64[P]``."""
    ranks: dict[int, int] = {}
    for rank, pattern in _PLACES[kind]:
        for match in pattern.finditer(text.rstrip()):
            ranks[match.end()] = max(rank, ranks.get(match.end(), 0))
    places = np.array(sorted(ranks), dtype=np.int64)
    return places, np.array([ranks[place] for place in places.tolist()], dtype=np.int64)


def _best_place(places: Int64, ranks: Int64, low: int, high: int) -> int | None:
    """The best place from ``low`` to ``high``; of equally good ones, the last. None if there is none."""
    begin, end = np.searchsorted(places, low, side="left"), np.searchsorted(places, high, side="right")
    return None if begin >= end else int(places[end - 1 - int(np.argmax(ranks[begin:end][::-1]))])


def _halve_if_too_long(
    text: str, start: int, end: int, tokenizer: Tokenizer, max_tokens: int, prompt: str
) -> Iterator[Span]:
    """The span of a chunk without the spaces around it.

    A chunk rarely has more tokens by itself than it had within the text. If it then no longer fits, it is halved.
    """
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start == end:
        return
    tokens = int(tokenizer.tokenize([text[start:end]], prompt)[1][0])
    if tokens <= max_tokens or end - start == 1:
        yield Span(start, end, tokens)
        return
    middle = (start + end) // 2
    space = text.rfind(" ", start, middle)
    middle = space if space > start else middle
    yield from _halve_if_too_long(text, start, middle, tokenizer, max_tokens, prompt)
    yield from _halve_if_too_long(text, middle, end, tokenizer, max_tokens, prompt)
