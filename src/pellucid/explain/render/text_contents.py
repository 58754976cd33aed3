"""Texts and tokens as plain values for a page: what all kinds of data have in common, and how much of them is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.errors import plural
from pellucid.types import Token

MAX_TOKENS = 512
"""A page shows at most this many tokens of a text."""
MAX_TEXT_CHARACTERS = 10_000
"""A page shows at most this many characters of a text."""
_MAX_SOURCE_CHARACTERS = 80
"""A page shows at most this many of the characters behind a token: one unknown word can be a megabyte."""
_MAX_WORD_CHARACTERS = 30
"""A list of pairs shows at most this many characters of a word."""
MAX_CUT_TOKENS = 60
"""A page shows at most this many of the tokens that were cut off."""
MAX_PAIRS = 12
"""A comparison lists at most this many of its strongest pairs of words, and a score of each text's words."""


def shorten_word(word: str) -> str:
    """The start of a word, for a list."""
    return word if len(word) <= _MAX_WORD_CHARACTERS else f"{word[:_MAX_WORD_CHARACTERS]}…"


def shorten_text(text: str, max_characters: int = MAX_TEXT_CHARACTERS) -> str:
    """The start of a text, and how many characters are left out."""
    rest = len(text) - max_characters
    if rest <= 0:
        return text
    return f"{text[:max_characters]} … and {plural(rest, 'more character')}, which this page leaves out."


def tokens_data(tokens: Sequence[Token], joined: str) -> list[dict[str, Any]]:
    """The tokens' own values, and the characters of ``joined`` (prompt and text) that each was made from."""
    ends = [min(token.end, token.start + _MAX_SOURCE_CHARACTERS) for token in tokens]
    return [vars(token) | {"source": joined[token.start : end]} for token, end in zip(tokens, ends, strict=True)]
