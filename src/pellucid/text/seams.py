"""Where a long text can be cut so that the tokens of its pieces are exactly the tokens of the whole text.

We call such a place a seam. Seams let us read a long text piece by piece: in bounded memory, and no further than the
model reads. Whether there are any depends on the parts of the tokenizer, so we only look for them where every part is
one that we know; any other tokenizer is given each text whole.

Why a place is a seam: nothing that looks at characters on one side of it also looks at the other side.

- Before a space that follows a letter, a digit, or a mark such as a comma. No normalizer that we accept joins a space
  to what is before it, and every pre-tokenizer that we accept ends a word there. The space stays with the next piece,
  because byte-level tokens and those of SentencePiece begin with it.
- With BERT's pre-tokenizer, which drops spaces: before any space or ASCII mark, because each mark is a word of its own;
  and between Chinese characters, if the normalizer puts spaces around them.

Added tokens, such as ``[MASK]``, are found before all this. So a place near one is not a seam.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PIECE_CHARACTERS = 25_000
"""About how long a piece is."""
MOST_WITHOUT_SEAM = 1_000_000
"""The longest piece, in characters: it takes some hundred bytes for each, and cannot be interrupted."""
_WORD_END = r"(?<=[\w.,;:!?])(?= )"
_BERT_MARK = r"(?=[\t\n\r -/:-@\[-^`{-~])"  # Without "_", which counts as a letter.
_HAN = "[\\u4e00-\\u9fff]"
_BETWEEN_HAN = f"(?<={_HAN})(?={_HAN})"
_NORMALIZERS = frozenset(
    {"BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Precompiled", "Nmt"}
)
_MOST_TRIES = 1_000
_MOST_REACH = 64
_CONTEXT = 8

Json = Mapping[str, Any]


@dataclass(frozen=True)
class AddedToken:
    """An added token, as far as seams depend on it; ``normalized`` ones are found in the normalized text."""

    content: str
    normalized: bool
    takes_spaces_after: bool


@dataclass(frozen=True)
class Seams:
    """How to find the seams of a tokenizer.

    Attributes:
        places: matches the empty string at each place that may be a seam; None if there are none.
        added: what may not be near a seam.
        normalize: what the normalizer does, where it decides whether a place is a seam; None where it does not.
    """

    places: re.Pattern[str] | None
    added: tuple[str, ...] = ()
    normalize: Callable[[str], str] | None = None

    def pieces(self, text: str, *, backwards: bool = False) -> Iterator[tuple[int, int]]:
        """The pieces of a text, from its start or from its end; they are the same either way.

        After a piece of more than :data:`MOST_WITHOUT_SEAM` characters comes none: it has all the rest.
        """
        cells = range(PIECE_CHARACTERS, len(text), PIECE_CHARACTERS)
        start, end = 0, len(text)
        for cell in reversed(cells) if backwards else cells:
            if (end - cell if backwards else cell - start) > MOST_WITHOUT_SEAM:
                break
            if (place := self._first_in(text, cell)) is None:
                continue
            yield (place, end) if backwards else (start, place)
            start, end = (start, place) if backwards else (place, end)
        yield start, end

    def _first_in(self, text: str, cell: int) -> int | None:
        """The first seam among the ``PIECE_CHARACTERS`` from ``cell`` on."""
        if self.places is None:
            return None
        found = self.places.finditer(text, cell, cell + PIECE_CHARACTERS)
        places = (match.start() for match in itertools.islice(found, _MOST_TRIES))
        return next((place for place in places if self._is_seam(text, place)), None)

    def _is_seam(self, text: str, place: int) -> bool:
        reach = max(map(len, self.added), default=0)
        near = text[max(0, place - reach) : place + reach]
        if any(content in near for content in self.added):
            return False
        if self.normalize is None:
            return True
        # Whatever the normalizer makes of the character before, it must not be nothing, nor a space.
        before = self.normalize(text[max(0, place - _CONTEXT) : place] + " a")
        return re.search(r"[^\s▁][ ▁]a\Z", before) is not None


def seams_of(
    normalizer: Json | None,
    pre_tokenizer: Json | None,
    added: Sequence[AddedToken],
    normalize: Callable[[str], str] | None,
) -> Seams:
    """The seams of a tokenizer.

    Args:
        normalizer: as ``tokenizer.json`` describes it.
        pre_tokenizer: likewise.
        added: its added tokens.
        normalize: what the normalizer does to a text; None without one.
    """
    steps, cutters = _flat(normalizer, "normalizers"), _flat(pre_tokenizer, "pretokenizers")
    if not all(map(_normalizes_locally, steps)) or not all(map(_cuts_locally, cutters)):
        return Seams(None)
    if not any(cutter["type"] not in ("Punctuation", "Digits") for cutter in cutters):
        return Seams(None)
    raw = tuple(token.content for token in added if normalize is None or not token.normalized)
    changed = [token for token in added if normalize is not None and token.normalized]
    spelled = "".join(token.content + normalize(token.content) for token in changed) if normalize is not None else ""
    if max(map(len, raw), default=0) > _MOST_REACH or any(token.takes_spaces_after for token in changed):
        return Seams(None)
    if re.search(r"[\s▁]", spelled):
        return Seams(None)
    places = [_WORD_END]
    bert = [cutter["type"] for cutter in cutters] == ["BertPreTokenizer"] and all(map(_is_bert, steps))
    if bert and not re.search(_BERT_MARK, spelled):
        places.append(_BERT_MARK)
    if bert and any(step.get("handle_chinese_chars") is True for step in steps) and not re.search(_HAN, spelled):
        places.append(_BETWEEN_HAN)
    return Seams(re.compile("|".join(places)), raw, None if bert else normalize)


def _flat(part: Json | None, inner: str) -> list[Json]:
    """A part of a tokenizer as a list: the parts of a sequence, at any depth."""
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for each in part[inner] for step in _flat(each, inner)]
    return [part]


def _is_bert(step: Json) -> bool:
    return step["type"] in ("BertNormalizer", "Lowercase")


def _normalizes_locally(step: Json) -> bool:
    """Whether a normalizer changes both sides of a seam as it would change them together."""
    if step["type"] == "Strip":
        return not step["strip_left"]
    if step["type"] == "Replace":
        pattern, content = step["pattern"], step["content"]
        if pattern in ({"Regex": " {2,}"}, {"String": " "}):
            return content in (" ", "▁")
        return "String" in pattern and bool(pattern["String"]) and not re.search(r"[\s▁]", pattern["String"] + content)
    return step["type"] in _NORMALIZERS


def _cuts_locally(cutter: Json) -> bool:
    """Whether a pre-tokenizer makes the same words of both sides of a seam as of the two together."""
    if cutter["type"] == "ByteLevel":
        return cutter.get("use_regex") is True
    if cutter["type"] == "Metaspace":
        return cutter.get("split") is True
    return cutter["type"] in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits")
