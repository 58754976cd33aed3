"""Remembers the ids of words, so that the ``tokenizers`` library is asked about each word only once.

Texts repeat words. Cutting a text into words and looking each of them up takes far less time than tokenizing it again.
The ids come from the library, always. So they are the same, if a word has the same ids wherever it stands, and if our
cuts are places where the library cuts too. Both are true of the tokenizers that :func:`find_rules` accepts:

- BERT's pre-tokenizer drops white space and makes a word of each ASCII mark, and its normalizer puts spaces around
  Chinese characters. The normalizer looks at one character at a time, or at a letter and the accents after it. Spaces,
  marks and Chinese characters are neither.
- SentencePiece's tokenizers (``Metaspace``) and byte-level ones begin a word at each space. Their normalizers look at
  what a reader takes for one character (a grapheme cluster), which may be a space and the accent that follows it. So we
  cut before a space only if the characters on both sides are solid: ASCII characters or letters that stand for
  themselves. With the tokenizers of GPT-4, Llama 3 and Qwen, a line's end belongs to the marks before it, so we cut
  after it.

Chinese, Japanese and Thai have no spaces, so a sentence is a single word to SentencePiece's tokenizers. A Unigram model
may not be given it in parts, not even cut between characters that no token joins: it compares sums of scores that begin
with the word, and rounding decides between two ways that are equally good. So such a word goes to the library.

A text in which an added token, such as ``[MASK]``, may occur goes to the library as a whole. So does every text of any
other tokenizer.

The table itself is in C++ (``native/words.h``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pellucid.text.library import Library
from pellucid.text.seams import AddedToken, Json, flatten, is_bert, is_split_byte_level
from pellucid.types import Int32, TokenBatch

if TYPE_CHECKING:
    from pellucid._native import Lookup

MAX_BYTES = 32 << 20
"""How many bytes of words and ids the table keeps; with the slots that find them, it takes twice as many. It keeps a
million words at most. When it is full, the library is asked about other words each time."""
TEXTS_PER_PART, CHARACTERS_PER_PART = 8_192, 1_000_000
"""The most texts and characters to look up at a time: enough work for many threads, done in 20 ms by one."""
_FEW_WORDS, _FEW_CHARACTERS = 4, 1_000  # So few are asked about one by one, because lists of words take longer.
_SPACES = " \t\n\r"
_MAX_NORMALIZED_CHARACTERS = 64  # The longest added token that we look for in the normalized text.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_MARKS = "".join(c for c in _PRINTABLE if not c.isalnum())
_HAN = ((0x3400, 0x4DB5), (0x4E00, 0x9FA5))
"""Only those that are so old that every version of Unicode has them: the normalizer removes what it does not know."""
_SOLID = (
    *((0xC0, 0x24F), (0x391, 0x3A1), (0x3A3, 0x3CE), (0x400, 0x481), (0x48A, 0x52F), (0x5D0, 0x5EA)),
    *((0x621, 0x63A), (0x641, 0x64A), (0x1E00, 0x1E99), (0x1EA0, 0x1EF9)),
)
"""Letters of Latin, Greek, Cyrillic, Hebrew and Arabic. They are grapheme clusters by themselves, unless accents follow
them, and so are the letters before and after them."""
_UNICODE_NORMALIZERS = frozenset({"NFC", "NFD", "NFKC", "NFKD", "Lowercase"})
"""No ASCII letter or digit that white space follows becomes anything else than a letter or a digit."""
_LOCAL_NORMALIZERS = _UNICODE_NORMALIZERS | {"StripAccents", "Precompiled"}
_SPACE_PATTERNS = ({"Regex": " {2,}"}, {"Regex": r"\s{2,}|[\n\r\t]"})


@dataclass(frozen=True)
class WordRules:
    """Where a tokenizer's texts may be cut into words; ``CuttingRules`` in ``native/words.h``.

    Attributes:
        kind: "marks" if each ASCII mark is a word, as for BERT; "spaces" if a word begins with the spaces before it.
        spaces: the characters that separate words.
        drop: for "spaces", which spaces before a word change none of its ids: "none", "one" alone, or any "run".
        characters: ranges of characters. For "marks", each of them is a word; for "spaces", they are solid.
        added: a text with one of these goes to the library whole.
        normalized: so does a text that may have one of these when it is normalized.
        marks_take_line_ends: for "spaces", True if a line's end belongs to the marks before it.
    """

    kind: Literal["marks", "spaces"]
    spaces: str
    drop: Literal["none", "one", "run"]
    characters: tuple[tuple[int, int], ...]
    added: tuple[str, ...]
    normalized: tuple[str, ...]
    marks_take_line_ends: bool = False


def find_rules(
    normalizer: Json | None,
    pre_tokenizer: Json | None,
    added: Sequence[AddedToken],
    normalize: Callable[[str], str] | None,
    pieces: Callable[[str], list[str]],
) -> WordRules | None:
    """Work out where a tokenizer's texts may be cut into words; None if its texts must go to the library.

    Which parts the tokenizer has decides whether there are rules. What these parts do to a few short texts decides the
    details.

    Args:
        normalizer: its normalizer, as ``tokenizer.json`` describes it.
        pre_tokenizer: its pre-tokenizer, as ``tokenizer.json`` describes it.
        added: its added tokens.
        normalize: applies the normalizer to a text; None if there is no normalizer.
        pieces: normalizes and pre-tokenizes a text.
    """
    steps, cutters = flatten(normalizer, "normalizers"), flatten(pre_tokenizer, "pretokenizers")
    raw = tuple(token.content for token in added if normalize is None or not token.normalized)
    normalized = tuple(normalize(token.content) for token in added if normalize and token.normalized)
    keeps_ascii = normalize is None or all(normalize(c) in (c, c.lower()) for c in _PRINTABLE)
    if not keeps_ascii or not all(map(_is_printable, normalized)):
        return None
    if [cutter["type"] for cutter in cutters] == ["BertPreTokenizer"] and all(map(is_bert, steps)):
        if any(pieces(f"a{between}b") != ["a", *between.strip(), "b"] for between in (*_SPACES, *_MARKS)):
            return None
        return WordRules("marks", _SPACES, "none", _HAN if pieces("a中b") == ["a", "中", "b"] else (), raw, normalized)
    replaced = "".join(step["pattern"].get("String", "") + step["content"] for step in steps if "pattern" in step)
    if not all(map(_normalizes_locally, steps)) or set(replaced) & set("".join(normalized)):
        return None
    marks_take_line_ends = is_split_byte_level(cutters) and all(step["type"] in _UNICODE_NORMALIZERS for step in steps)
    spaces = _separating_spaces(pieces) if marks_take_line_ends or _begins_words_at_spaces(cutters) else ""
    if not spaces:
        return None
    solid = _SOLID if normalize is None or _stay_solid(normalize) else ()
    drop = _dropped_spaces(spaces, pieces)
    return WordRules("spaces", spaces, drop, solid, raw, normalized, marks_take_line_ends)


def _is_printable(token: str) -> bool:
    return 0 < len(token) <= _MAX_NORMALIZED_CHARACTERS and set(token) <= set(_PRINTABLE)


def _begins_words_at_spaces(cutters: Sequence[Json]) -> bool:
    kinds = [cutter["type"] for cutter in cutters]
    if kinds == ["ByteLevel"]:
        return cutters[0].get("use_regex") is True
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        return False
    return cutters[-1].get("split") is True and cutters[-1].get("replacement") == "▁"


def _normalizes_locally(step: Json) -> bool:
    """True if a normalizer changes the two sides of a cut as it would change them together, and keeps the space."""
    if step["type"] == "Strip":
        return not step["strip_left"]
    if step["type"] == "Replace":
        pattern, content = step["pattern"], step["content"]
        if pattern in _SPACE_PATTERNS:
            return content in (" ", "▁")
        return bool(pattern.get("String")) and bool(content) and not re.search(r"[\s▁]", pattern["String"] + content)
    return step["type"] in _LOCAL_NORMALIZERS


def _separating_spaces(pieces: Callable[[str], list[str]]) -> str:
    """The spaces before which words end, alone and together; "" if none are known."""
    for spaces in ("".join(c for c in _SPACES if _cuts_before(c, pieces)), " "):
        runs = (*spaces, *(a + b for a, b in itertools.product(spaces, repeat=2)))
        if " " in spaces and all(_cuts_before(run, pieces) for run in runs):
            return spaces
    return ""


def _cuts_before(run: str, pieces: Callable[[str], list[str]]) -> bool:
    """True if a word ends before these spaces, within a text and at its end."""
    return all(pieces(f"a{rest}") == pieces("a") + pieces(rest) for rest in (f"{run}b", run))


def _dropped_spaces(spaces: str, pieces: Callable[[str], list[str]]) -> Literal["none", "one", "run"]:
    if any(pieces(f"{c}b") != pieces("b") for c in spaces):
        return "none"
    pairs = itertools.product(spaces, repeat=2)
    return "run" if all(pieces(f"{a}{b}b") == pieces("b") for a, b in pairs) else "one"


def _stay_solid(normalize: Callable[[str], str]) -> bool:
    """True if the normalizer makes something of each of the solid letters, but no spaces."""
    letters = [chr(c) for first, last in _SOLID for c in range(first, last + 1)]
    words = re.split("[ ▁]", normalize(" ".join(letters)))
    return len(words) == len(letters) and all(words) and not re.search(r"\s", "".join(words))


class Words:
    """The table of a tokenizer's words. Any number of threads may use it at the same time.

    Args:
        rules: where texts may be cut.
        library: the tokenizer, which is asked about words that the table does not know.
        threads: the most threads to look words up with. Few texts are looked up by the calling thread alone.
    """

    def __init__(self, rules: WordRules, library: Library, threads: int = 1) -> None:
        from pellucid import _native

        self._library = library
        self._threads = threads
        self._padding = "\0" * _native.WordTable.padding
        self._firsts = {token[0].lower() for token in rules.normalized}
        self._table = _native.WordTable(
            kind=rules.kind,
            spaces=rules.spaces,
            drop=rules.drop,
            marks_take_line_ends=rules.marks_take_line_ends,
            characters=list(rules.characters),
            added=list(rules.added),
            normalized=list(rules.normalized),
            max_bytes=MAX_BYTES,
        )

    def __len__(self) -> int:
        """The number of words in the table."""
        return len(self._table)

    def ids(self, texts: list[str]) -> TokenBatch:
        """The ids of texts. The library is asked about what the table does not know."""
        lookup = self._table.look_up("".join([*texts, self._padding]), texts, self._threads)
        self._learn(lookup)
        return TokenBatch(*lookup.ids())

    def ids_of_one(self, text: str) -> Int32 | list[int]:
        """The ids of one text, as whatever has them already: an array of the table, or a list of the library."""
        lookup = self._table.look_up(text + self._padding, [text])
        if lookup.is_known:
            return lookup.ids()[0]
        if lookup.unknown_pieces == [text]:  # The library alone knows its ids, and the table has nothing to learn.
            return self._library.ids_of_one(text)
        self._learn(lookup)
        return lookup.ids()[0]

    def _learn(self, lookup: Lookup) -> None:
        """Ask the library about what is unknown, until all is known."""
        while not lookup.is_known:
            words, pieces = lookup.unknown_words, lookup.unknown_pieces
            asked = [*words, *pieces]
            if len(asked) <= _FEW_WORDS and sum(map(len, asked)) <= _FEW_CHARACTERS:
                lists = list(map(self._library.ids_of_one, asked))
                counts = np.array(list(map(len, lists)), dtype=np.int32)
                ids = np.array(list(itertools.chain.from_iterable(lists)), dtype=np.int32)
            else:
                answers = [self._library.ids_of_words(words)] if words else []
                answers += [self._library.ids_of_texts(pieces)] if pieces else []
                counts, ids = map(np.concatenate, zip(*answers, strict=True))
            lookup.learn(counts, self._suspects(asked), ids)

    def _suspects(self, words: list[str]) -> list[int]:
        """The numbers of the words of which the normalizer makes what may be the start of an added token.

        The table finds a start that is ASCII already.
        """
        if not self._firsts:
            return []
        strange = ((n, word) for n, word in enumerate(words) if not (word.isascii() and word.isprintable()))
        return [n for n, word in strange if not self._firsts.isdisjoint(self._library.normalize(word).lower())]
