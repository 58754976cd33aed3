"""The sentence of a chunk that matches a query best, and the words of it that are the query's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from pellucid.embedder import Embedder

_ENDS = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|[。！？]|\n\s*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)]) )|\n(?=[ \t]*\|)")
_HEADING = re.compile(r"#{1,6} [^\n]*|[|\s:=-]+")
"""A heading of Markdown, or a line between the rows of a table."""
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LETTERS_OF_A_STEM, _LETTERS_OF_AN_ENDING = 4, 4
_COMMON_WORDS = (
    "a about all an and any are as at be been but by can could did do does for from had has have he her his how i if "
    "in into is it its may me my no not of on one or our she should so some than that the their them then there these "
    "they this to was we were what when where which who why will with would you your"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence begins, and where it ends, without the spaces around it."""
    found = []
    start = 0
    for match in (*_ENDS.finditer(text), None):
        end = len(text) if match is None else match.end()
        stripped = text[start:end].strip()
        if stripped:
            first = text.index(stripped, start)
            found.append((first, first + len(stripped)))
        start = end
    return found


def best_sentences(embedder: Embedder, query: str, chunks: Sequence[str]) -> list[tuple[int, int]]:
    """In each chunk, the start and end of the sentence whose vector is nearest to the query's.

    A heading is chosen only if a chunk has nothing else. A chunk without a sentence gives (0, 0).
    """
    candidates = []
    for chunk in chunks:
        places = sentences(chunk)
        texts = [(start, end) for start, end in places if not _HEADING.fullmatch(chunk, start, end)]
        candidates.append(texts or places)
    vectors = embedder.embed_documents(
        [chunk[start:end] for chunk, places in zip(chunks, candidates, strict=True) for start, end in places]
    )
    cosines = vectors @ embedder.embed_query(query) / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
    best, first = [], 0
    for places in candidates:
        own = cosines[first : first + len(places)]
        best.append(places[int(own.argmax())] if places else (0, 0))
        first += len(places)
    return best


def matched_words(query: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a text has words of the query, or words with the same beginning, such as "resets" for "reset"."""
    wanted = {word[0].casefold() for word in _WORD.finditer(query) if not is_common(word[0])}
    for word in _WORD.finditer(text):
        if any(_is_alike(word[0].casefold(), other) for other in wanted):
            yield word.span()


def is_common(word: str) -> bool:
    """Whether a word, such as "the", stands in so many texts that finding it says nothing."""
    return word.casefold() in _COMMON


def _is_alike(first: str, second: str) -> bool:
    """Whether two words are equal, or differ in their last few letters only."""
    short, long = sorted((first, second), key=len)
    if len(short) < _LETTERS_OF_A_STEM or len(long) - len(short) > _LETTERS_OF_AN_ENDING:
        return first == second
    return long.startswith(short)
