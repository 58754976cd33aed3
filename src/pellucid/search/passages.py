"""The sentence of a chunk that matches a query best, and the words of it that are the query's."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from pellucid.common_words import is_common
from pellucid.text.chunking import Kind
from pellucid.types import Float64

_ENDS = re.compile(
    # A number at the start of a line counts the items of a list.
    r"(?<=[.!?…])(?<!^\d\.)(?<!^\d\d\.)(?<!^  \d\.)(?<!^   \d\.)[\"'”’)\]]*\s+"
    r"|[。！？]|\n\s*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)]) )|\n(?=[ \t]*\|)",
    re.MULTILINE,
)
_HEADING = re.compile(r"#{1,6} [^\n]*")
_RULE = re.compile(r"[|\s:=-]+")
"""A line between the rows of a table of Markdown, or below a heading."""
_SPACES = re.compile(r"[ \t]{2,}")
_LIST_MARK = re.compile(r"[ \t]*(?:[-*+•]|\d+[.)])[ \t]+")
# What Markdown has besides the words that a reader sees (CommonMark 0.31): comments, fences, quotes, links, emphasis,
# code.
_MARKS = (
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"^[ \t]*(?:`{3,}|~{3,}).*$|^[| \t:=-]{2,}$|^[ \t]*>[ \t]?", re.MULTILINE), ""),
    (re.compile(r"!?\[([^\]\n]*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?: \"[^\"\n]*\")?\)"), r"\1"),
    (re.compile(r"(?<![\w*])(\*\*|\*)(?=\S)([^*\n]+?)(?<=\S)\1(?![\w*])"), r"\2"),
    (re.compile(r"(`+)([^`\n]+)\1(?!`)"), r"\2"),
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LETTERS_OF_A_STEM, _LETTERS_OF_AN_ENDING = 4, 4
_LETTERS_SHARED = 3
"""Words are alike only if they share as many first letters, or are equal."""
_ENDINGS = frozenset("s es 's ’s e ed d er ers r rs y ies ied ing ings".split())  # noqa: SIM905  It is easier to read.


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


def is_heading(sentence: str) -> bool:
    """Whether a sentence is a heading of Markdown."""
    return _HEADING.fullmatch(sentence) is not None


def prose(sentence: str, kind: Kind, *, keep_lines: bool = False, begins_line: bool = True) -> str:
    """A sentence in one line, as a reader sees it: without the marks of a list, and those of Markdown.

    Args:
        sentence: the sentence, or a row of a table, or an item of a list.
        kind: the kind of text that it is from.
        keep_lines: show where a line ends, because each line is a matter of its own.
        begins_line: whether the sentence is the first of its line. Only there can it be an item of a list: in "(ext.
            4711)", the number is no mark.

    >>> prose("- see **the** [page](a.md)", "markdown")
    'see the page'
    """
    text = _SPACES.sub(" ", sentence)  # Thousands of spaces would take the patterns below seconds.
    if begins_line and (mark := _LIST_MARK.match(text)):
        text = text[mark.end() :]
    if kind == "markdown":
        for marks, words in _MARKS:
            text = marks.sub(words, text)
        if text.startswith("|"):
            text = re.sub(r"[ \t]*\|[ \t]*", " | ", text.strip("| \t"))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return (" · " if keep_lines else " ").join(line for line in lines if line)


def best_sentences(
    similarities: Callable[[Sequence[str]], Float64], query: str, chunks: Sequence[str], headings: Sequence[str]
) -> list[tuple[int, int]]:
    """In each chunk, the start and end of the sentence that shows best why the chunk matches.

    That is one with as many words of the query as any other, and of those the one that is nearest to it. A heading is
    chosen only if a chunk has nothing else. A chunk without a sentence gives (0, 0).

    Args:
        similarities: how near texts are to the query, ``float64[n]``.
        query: the query.
        chunks: the chunks.
        headings: a heading of each chunk, which the text itself may not mark as one; "" for none.
    """
    candidates = [_with_most_words(query, *each) for each in zip(chunks, headings, strict=True)]
    # Where there is no choice, there is nothing to compute.
    several = [(chunk, places) for chunk, places in zip(chunks, candidates, strict=True) if len(places) > 1]
    if not several:
        return [places[0] if places else (0, 0) for places in candidates]
    near = similarities([chunk[start:end] for chunk, places in several for start, end in places])
    best, first = [], 0
    for places in candidates:
        nearest = 0
        if len(places) > 1:
            nearest = int(near[first : first + len(places)].argmax())
            first += len(places)
        best.append(places[nearest] if places else (0, 0))
    return best


def _with_most_words(query: str, chunk: str, heading: str) -> list[tuple[int, int]]:
    """The sentences of a chunk that have most of the query's words, but no headings if there is anything else."""
    texts = {(start, end): chunk[start:end] for start, end in sentences(chunk)}
    no_headings = {
        place: text
        for place, text in texts.items()
        if text != heading and not is_heading(text) and not _RULE.fullmatch(text)
    }
    wanted = _wanted(query)
    counts = {place: len(_found(wanted, text)) for place, text in (no_headings or texts).items()}
    return [place for place, count in counts.items() if count == max(counts.values())]


def matched_words(query: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a text has words of the query, or other forms of them, such as "resets" for "reset"."""
    wanted = _wanted(query)
    for word in _WORD.finditer(text):
        if _found(wanted, word[0]):
            yield word.span()


@functools.lru_cache(maxsize=8)
def _wanted(query: str) -> Mapping[str, set[str]]:
    """The words of a query that say something, by their first letters, which all forms of a word share."""
    wanted: dict[str, set[str]] = {}
    for word in _WORD.findall(query):
        if not is_common(word):
            folded = word.casefold()
            wanted.setdefault(folded[:_LETTERS_SHARED], set()).add(folded)
    return wanted


def _found(wanted: Mapping[str, set[str]], text: str) -> set[str]:
    """Which of the wanted words a text has, in any form."""
    words = {word[0].casefold() for word in _WORD.finditer(text)}
    return {want for word in words for want in wanted.get(word[:_LETTERS_SHARED], ()) if _is_alike(want, word)}


def _is_alike(first: str, second: str) -> bool:
    """Whether two words are equal, or differ in their ending only: "reset" and "resets", "bake" and "baking"."""
    if first == second:
        return True
    pairs = zip(first, second, strict=False)
    same = next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))
    short, long = sorted((first[same:], second[same:]), key=len)
    if same >= _LETTERS_OF_A_STEM:
        return (not short and len(long) <= _LETTERS_OF_AN_ENDING) or {short, long} <= _ENDINGS
    # "car" is not a form of "care".
    return same == _LETTERS_SHARED and (long in ("s", "'s", "’s") if not short else {short, long} <= _ENDINGS)
