"""Finds places where a long text can be cut so that its pieces have exactly the tokens of the whole text.

We call such a place a seam. Seams let us read a long text piece by piece: in bounded memory, and no further than the
model reads. Whether a text has seams depends on the parts of the tokenizer. We look for them only if we know every
part. Any other tokenizer gets each text whole.

A place is a seam if nothing that looks at characters on one side of it also looks at the other side. These places are
seams:

- Before a space that follows a letter, a digit, or a mark such as a comma. No normalizer that we accept joins a space
  to the character before it, and every pre-tokenizer that we accept ends a word there. The space goes to the next
  piece, because the tokens of byte-level and SentencePiece tokenizers begin with it.
- With BERT's pre-tokenizer, which drops spaces: before any space or ASCII mark, because each mark is a word of its own;
  and between Chinese characters, if the normalizer puts spaces around them.

The tokenizer looks for added tokens, such as ``[MASK]``, before all this. So a place near an added token is not a seam.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.errors import TextError

LONG_TEXT_CHARACTERS = 100_000
"""A text with more characters is long: it is read in pieces, about this many characters of them at a time."""
PIECE_CHARACTERS = 25_000
"""About how long a piece is."""
MAX_PIECE_CHARACTERS = 1_000_000
"""The longest piece. Tokenizing it takes a few hundred bytes for each character, and cannot be interrupted."""
_WORD_END = r"(?<=[\w.,;:!?])(?= )"
_BERT_MARK = r"(?=[\t\n\r -/:-@\[-^`{-~])"  # Not "_", which counts as a letter.
_HAN = "[\\u4e00-\\u9fff]"
_BETWEEN_HAN = f"(?<={_HAN})(?={_HAN})"
_NORMALIZERS = frozenset(
    {"BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Precompiled", "Nmt"}
)
_SPACES = ({"String": " "}, {"Regex": " {2,}"}, {"Regex": r"\s{2,}|[\n\r\t]"})
"""What a normalizer may replace by one space. A run of spaces is never cut."""
GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = GPT4_PATTERN.replace("{1,3}", "")
"""How GPT-4, Llama 3 and Qwen cut texts before their bytes are merged. Nothing that these match goes on at a space."""
_MAX_TRIES = 1_000  # How many places to try before giving up on a seam.
_MAX_ADDED_CHARACTERS = 64  # The longest added token that we accept.
_CONTEXT_CHARACTERS = 8  # How many characters before a place the normalizer sees, when we check what it does there.

Json = Mapping[str, Any]


@dataclass(frozen=True)
class AddedToken:
    """What seams need to know of an added token.

    Attributes:
        content: its text.
        normalized: True if the tokenizer looks for it in the normalized text, False for the text as it is.
        takes_spaces_after: True if the spaces after it belong to it.
    """

    content: str
    normalized: bool
    takes_spaces_after: bool


@dataclass(frozen=True)
class Seams:
    """How to find the seams of a tokenizer.

    Attributes:
        places: a regular expression that matches the empty string at each place that may be a seam; None if there are
            no seams. It is compiled when the first long text comes, because that takes milliseconds.
        added: the added tokens that may not be near a seam.
        normalize: applies the normalizer to a text, if that decides whether a place is a seam; None if it does not.
    """

    places: str | None
    added: tuple[str, ...] = ()
    normalize: Callable[[str], str] | None = None

    def pieces(self, text: str, *, backwards: bool = False) -> Iterator[tuple[int, int]]:
        """Cut a text into pieces, from its start or from its end; the pieces are the same.

        If a piece grows to more than :data:`MAX_PIECE_CHARACTERS`, it is the last one and has all the rest.

        Yields:
            The first character of each piece, and the character after its last.
        """
        cells = range(PIECE_CHARACTERS, len(text), PIECE_CHARACTERS)
        start, end = 0, len(text)
        for cell in reversed(cells) if backwards else cells:
            if (end - cell if backwards else cell - start) > MAX_PIECE_CHARACTERS:
                break
            if (place := self._find_seam(text, cell)) is None:
                continue
            yield (place, end) if backwards else (start, place)
            start, end = (start, place) if backwards else (place, end)
        yield start, end

    def groups(self, text: str, position: int, *, backwards: bool = False) -> Iterator[list[tuple[int, int]]]:
        """The pieces of a text, a few at a time: a group has at most 100,000 characters, or is a single longer piece.

        A text that is not long is one piece.

        Args:
            text: the text.
            position: its position, for the message of an error.
            backwards: begin at the text's end. The pieces of a group are in the order of the text.

        Raises:
            TextError: a piece has more than a million characters.
        """
        is_long = len(text) > LONG_TEXT_CHARACTERS
        group: list[tuple[int, int]] = []
        for start, end in self.pieces(text, backwards=backwards) if is_long else [(0, len(text))]:
            if group and end - start + sum(b - a for a, b in group) > LONG_TEXT_CHARACTERS:
                yield sorted(group)
                group = []
            if end - start > MAX_PIECE_CHARACTERS:
                raise TextError(
                    f"text {position} has more than {MAX_PIECE_CHARACTERS:,} characters in a row that the tokenizer "
                    f"cannot read in pieces, such as a very long word. They are between the characters {start:,} and "
                    f"{end:,}. Split the text, or leave them out."
                )
            group.append((start, end))
        yield sorted(group)

    def _find_seam(self, text: str, start: int) -> int | None:
        """The first seam in the ``PIECE_CHARACTERS`` characters from ``start`` on; None if there is none."""
        if self.places is None:
            return None
        matches = re.compile(self.places).finditer(text, start, start + PIECE_CHARACTERS)  # re keeps what it compiled.
        places = (match.start() for match in itertools.islice(matches, _MAX_TRIES))
        return next((place for place in places if self._is_seam(text, place)), None)

    def _is_seam(self, text: str, place: int) -> bool:
        reach = max(map(len, self.added), default=0)
        near = text[max(0, place - reach) : place + reach]
        if any(content in near for content in self.added):
            return False
        if self.normalize is None:
            return True
        # The normalizer must not remove the character before the place, or turn it into a space.
        before = self.normalize(text[max(0, place - _CONTEXT_CHARACTERS) : place] + " a")
        return re.search(r"[^\s▁][ ▁]a\Z", before) is not None


def find_seams(
    normalizer: Json | None,
    pre_tokenizer: Json | None,
    added: Sequence[AddedToken],
    normalize: Callable[[str], str] | None,
) -> Seams:
    """Work out where a tokenizer's seams are.

    Args:
        normalizer: its normalizer, as ``tokenizer.json`` describes it.
        pre_tokenizer: its pre-tokenizer, as ``tokenizer.json`` describes it.
        added: its added tokens.
        normalize: applies the normalizer to a text; None if there is no normalizer.
    """
    steps, cutters = flatten(normalizer, "normalizers"), flatten(pre_tokenizer, "pretokenizers")
    if not all(map(_normalizes_locally, steps)):
        return Seams(None)
    if not is_split_byte_level(cutters) and not all(map(_cuts_locally, cutters)):
        return Seams(None)
    if not any(cutter["type"] not in ("Punctuation", "Digits") for cutter in cutters):
        return Seams(None)
    # Two kinds of added tokens: those in the text as it is, and those in the normalized text.
    raw = tuple(token.content for token in added if normalize is None or not token.normalized)
    normalized = [token for token in added if normalize is not None and token.normalized]
    spellings = "".join(token.content + normalize(token.content) for token in normalized) if normalize else ""
    if max(map(len, raw), default=0) > _MAX_ADDED_CHARACTERS or any(token.takes_spaces_after for token in normalized):
        return Seams(None)
    if _has(r"[\s▁]", spellings):
        return Seams(None)
    places = [_WORD_END]
    bert = [cutter["type"] for cutter in cutters] == ["BertPreTokenizer"] and all(map(is_bert, steps))
    if bert and not _has(_BERT_MARK, spellings):
        places.append(_BERT_MARK)
    if bert and any(step.get("handle_chinese_chars") is True for step in steps) and not _has(_HAN, spellings):
        places.append(_BETWEEN_HAN)
    return Seams("|".join(places), raw, None if bert else normalize)


def _has(pattern: str, text: str) -> bool:
    """True if the text has a match. The pattern is not even compiled for an empty text, which most models have here."""
    return bool(text) and re.search(pattern, text) is not None


def flatten(part: Json | None, key: str) -> list[Json]:
    """The steps of a part of a tokenizer. A "Sequence" has its steps under ``key``, and may be nested."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for child in part[key] for step in flatten(child, key)]
    return [part]


def is_bert(step: Json) -> bool:
    """True for the steps of BERT's normalizer, with a step of ours that makes all letters lower-case."""
    return step["type"] in ("BertNormalizer", "Lowercase")


def _normalizes_locally(step: Json) -> bool:
    """True if a normalizer changes the two sides of a seam as it would change them together."""
    if step["type"] == "Strip":
        return not step["strip_left"]
    if step["type"] == "Replace":
        pattern, content = step["pattern"], step["content"]
        if pattern in _SPACES:
            return content in (" ", "▁")
        return "String" in pattern and bool(pattern["String"]) and not re.search(r"[\s▁]", pattern["String"] + content)
    return step["type"] in _NORMALIZERS


def is_split_byte_level(cutters: Sequence[Json]) -> bool:
    """True for the pre-tokenizers of GPT-4, Llama 3 and Qwen: a pattern cuts the text, and then come its bytes."""
    if [cutter["type"] for cutter in cutters] != ["Split", "ByteLevel"]:
        return False
    split, byte_level = cutters
    is_known = split["pattern"].get("Regex") in (GPT4_PATTERN, QWEN_PATTERN) and split["behavior"] == "Isolated"
    return is_known and not split["invert"] and not byte_level.get("use_regex") and not byte_level["add_prefix_space"]


def _cuts_locally(cutter: Json) -> bool:
    """True if a pre-tokenizer makes the same words of the two sides of a seam as of both together."""
    if cutter["type"] == "ByteLevel":
        return cutter.get("use_regex") is True
    if cutter["type"] == "Metaspace":
        return cutter.get("split") is True
    return cutter["type"] in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits")
