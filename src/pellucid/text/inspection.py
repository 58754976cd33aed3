"""The tokens of a text with their spellings and characters, to look at. Models get only ids, which take less time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pellucid.text.library import Library
from pellucid.text.seams import Seams
from pellucid.text.templates import TextTemplate
from pellucid.types import Int64, Token, TokenizedText

if TYPE_CHECKING:
    from tokenizers import Encoding


@dataclass(frozen=True, eq=False)
class _Piece:
    """The characters from ``start`` to ``end`` of a text, tokenized without special tokens."""

    start: int
    end: int
    encoding: Encoding


class Inspection:
    """Looks at how a tokenizer reads a text.

    Args:
        library: the tokenizer.
        seams: where long texts can be cut into pieces.
        template: where the special tokens go.
    """

    def __init__(self, library: Library, seams: Seams, template: TextTemplate) -> None:
        self._library, self._seams, self._template = library, seams, template
        self._trims = _trims_first_space(library.post_processor)

    def characters(self, text: str) -> tuple[Int64, Int64]:
        """The first character of each token, and the character after its last: both ``int64[T]``.

        Raises:
            TextError: a piece of the text is too long.
        """
        offsets = np.concatenate([self._offsets(piece) for piece in self._pieces(text, backwards=False)])
        return offsets[:, 0], offsets[:, 1]

    def inspect(self, text: str, max_tokens: int, limit: int, *, keep_end: bool) -> TokenizedText:
        """The tokens that the model reads, and those that are cut off.

        Args:
            text: the text, with its prompt.
            max_tokens: how many tokens the model reads, special tokens included.
            limit: how many to show, special tokens included.
            keep_end: True if texts are cut at their start.

        Raises:
            TextError: a piece of the text is too long.
        """
        room, limit = max_tokens - self._template.specials, limit - self._template.specials
        pieces: list[_Piece] = []
        count = 0
        for piece in self._pieces(text, backwards=keep_end):
            pieces.append(piece)
            count += len(piece.encoding)
            if count >= limit:
                break
        pieces.sort(key=lambda piece: piece.start)
        finished = pieces[0].start == 0 and pieces[-1].end == len(text) and count <= limit
        for piece in pieces:
            piece.encoding.truncate(limit, direction="left" if keep_end else "right")
        tokens = tuple(token for piece in pieces for token in self._tokens(piece))
        tokens = tokens[-limit:] if keep_end else tokens[:limit]
        kept, cut = (tokens[-room:], tokens[:-room]) if keep_end else (tokens[:room], tokens[room:])
        read = text if finished else text[min(t.start for t in tokens) : max(t.end for t in tokens)]
        return TokenizedText(self._library.normalize(read), self._add_specials(kept), cut, finished)

    def _pieces(self, text: str, *, backwards: bool) -> Iterator[_Piece]:
        """The pieces of a text, tokenized a few at a time; the last one first if ``backwards``."""
        for group in self._seams.groups(text, 0, backwards=backwards):
            encodings = self._library.encode([text[start:end] for start, end in group], offsets=True)
            pieces = [_Piece(*span, encoding) for span, encoding in zip(group, encodings, strict=True)]
            yield from reversed(pieces) if backwards else pieces

    def _offsets(self, piece: _Piece) -> Int64:
        """The characters of a piece's tokens, counted in the whole text: ``int64[T, 2]``."""
        offsets = np.array(piece.encoding.offsets, dtype=np.int64).reshape(-1, 2)
        if piece.start and self._trims and len(offsets) and piece.encoding.tokens[0].startswith("Ġ"):
            # The post-processor assumes that the first space of the piece was added, and is not part of the text.
            offsets[0] = max(1, offsets[0, 0]), max(1, offsets[0, 1])
        return offsets + piece.start

    def _tokens(self, piece: _Piece) -> Iterator[Token]:
        encoding, previous_word = piece.encoding, None
        columns = (encoding.ids, encoding.tokens, self._offsets(piece).tolist(), encoding.word_ids)
        for token_id, spelling, (start, end), word in zip(*columns, strict=True):
            kind: Literal["unknown", "text"] = "unknown" if token_id == self._library.unknown else "text"
            yield Token(token_id, spelling, start, end, kind, word is not None and word == previous_word)
            previous_word = word

    def _add_specials(self, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        empty = self._library.encode([""], specials=True)[0]
        specials = tuple(Token(*pair, 0, 0, "special", False) for pair in zip(empty.ids, empty.tokens, strict=True))
        before = len(self._template.before)
        return specials[:before] + tokens + specials[before:]


def _trims_first_space(part: Any) -> bool:
    """True if a post-processor moves the offsets of a first token that begins with a space."""
    if part is None:
        return False
    if part["type"] == "Sequence":
        return any(map(_trims_first_space, part["processors"]))
    return part["type"] in ("RobertaProcessing", "ByteLevel") and part["trim_offsets"] and part["add_prefix_space"]
