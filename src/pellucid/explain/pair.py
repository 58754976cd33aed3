"""A query and a document as a cross-encoder reads them: the tokens of both, their words and their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.errors import UnsupportedModelError
from pellucid.explain.words import Word, find_words, without_spaces
from pellucid.reprs import short_repr
from pellucid.text.chat import ChatTemplate
from pellucid.text.chunking import sentences
from pellucid.text.pairs import PairTexts, join_pairs, kept_lengths
from pellucid.types import Token, TokenBatch


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        text: its characters, as the text has them.
        start: its first character, counted in prompt + text.
        end: the character after its last.
        tokens: the positions of its tokens in ``PairText.tokens``.
    """

    text: str
    start: int
    end: int
    tokens: tuple[int, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class PairText:
    """One text of a pair.

    Attributes:
        prompt: the prompt that was put before the text; "" if it went into a chat template.
        text: the text.
        tokens: the tokens that the model read, without special tokens. Their ``start`` and ``end`` count characters of
            ``prompt + text``.
        cut: the tokens that were cut off, in the text's order.
        is_start_cut: True if they are those at the text's start.
        words: the words that the model read, without the prompt. ``Word.tokens`` are positions in ``tokens``.
        sentences: the sentences that the model read. Each token is in one of them, those of the prompt too.
    """

    prompt: str
    text: str
    tokens: tuple[Token, ...]
    cut: tuple[Token, ...]
    is_start_cut: bool
    words: tuple[Word, ...]
    sentences: tuple[Sentence, ...]

    __repr__ = short_repr


class Pair(NamedTuple):
    """A pair of texts.

    Attributes:
        batch: the pair, as a batch of one text.
        texts: both texts.
        starts: the place of each text's first token in the pair.
    """

    batch: TokenBatch
    texts: tuple[PairText, PairText]
    starts: tuple[int, int]

    def places(self, side: int) -> slice:
        """Where the tokens of the first text (0) or the second (1) are in the pair."""
        return slice(self.starts[side], self.starts[side] + len(self.texts[side].tokens))


def read_pair(encoder: Encoder, query: str, document: str, prompt: str) -> Pair:
    """Read a pair as the tasks do: if it is over ``max_tokens``, the longer text is cut first.

    Raises:
        TextError: a text cannot be tokenized.
        UnsupportedModelError: a chat template does more with these texts than write something around them.
    """
    tokenizer, spec = encoder.tokenizer, encoder.spec.tokenizer
    if tokenizer.chat is not None:
        return _read_chat_pair(encoder, tokenizer.chat, query, document, prompt)
    pair_texts = PairTexts([prompt + query, document], [0], [1])
    plain = tokenizer.tokenize_plain(pair_texts.texts)
    template, keep_end = tokenizer.pair_template, spec.truncation_side == "left"
    batch, _ = join_pairs(
        plain, pair_texts, template, spec.max_tokens, keep_end=keep_end, has_segments=spec.has_segments
    )
    kept = kept_lengths(plain.lengths[:1], plain.lengths[1:], spec.max_tokens - template.specials)
    first, second = (int(count[0]) for count in kept)
    texts = _read_text(encoder, query, prompt, first), _read_text(encoder, document, "", second)
    start = len(template.before)
    return Pair(batch, texts, (start, start + first + len(template.between)))


def find_sentences(tokens: Sequence[Token], text: str) -> tuple[Sentence, ...]:
    """Find the sentences of a text that have tokens. Each token belongs to the sentence in which it begins.

    Args:
        tokens: the tokens, in order.
        text: the text that ``Token.start`` and ``Token.end`` count in.
    """
    if not tokens:
        return ()
    spans = [without_spaces(text, token.start, token.end) for token in tokens]
    end_of_read = max(token.end for token in tokens)
    found = list(sentences(text[:end_of_read])) or [(0, end_of_read)]
    numbers = np.searchsorted([start for start, _ in found[1:]], [start for start, _ in spans], side="right").tolist()
    members: dict[int, list[int]] = {}
    for position, number in enumerate(numbers):
        members.setdefault(number, []).append(position)
    read: list[Sentence] = []
    for number, positions in sorted(members.items()):
        # Of a text that is cut at its start, the first sentence is read in part.
        start = max(found[number][0], spans[positions[0]][0])
        end = max(start, found[number][1])
        read.append(Sentence(text[start:end], start, end, tuple(positions)))
    return tuple(read)


def _read_chat_pair(encoder: Encoder, chat: ChatTemplate, query: str, document: str, prompt: str) -> Pair:
    """Read a pair that a chat template wraps. The template's tokens count as special ones.

    A token that is made of the end of the template and the start of a text belongs to the text.
    """
    tokenizer, spec = encoder.tokenizer, encoder.spec.tokenizer
    around = chat.around(query, document, prompt)
    if around is None:
        raise UnsupportedModelError(
            f"{encoder.spec.name}: the chat template changes the texts, so nobody can tell which tokens are theirs. "
            f"The score itself is right."
        )
    before, between, _ = around
    rendered = tokenizer.render(chat, [(query, document)], prompt)
    keep_end = spec.truncation_side == "left"
    batch, _ = rendered.cut(tokenizer.tokenize_plain(rendered.texts), spec.max_tokens, keep_end=keep_end)
    inspected = tokenizer.inspect(rendered.texts[0])
    alone = [token for token in inspected.tokens if token.kind != "special"]
    tokens = [*inspected.cut, *alone] if keep_end else [*alone, *inspected.cut]
    # If the pair was cut, the end of the template took the place of its last tokens.
    size = len(batch.ids)
    first = max(0, len(tokens) - size) if keep_end else 0
    last = first + size - (len(rendered.ending) if len(tokens) >= spec.max_tokens else 0)
    starts, texts = [], []
    for text, start in ((query, len(before)), (document, len(before) + len(query) + len(between))):
        end = start + len(text)
        places = [place for place, token in enumerate(tokens) if token.start < end and token.end > start]
        own = {
            place: replace(
                tokens[place], start=max(tokens[place].start, start) - start, end=min(tokens[place].end, end) - start
            )
            for place in places
        }
        read = tuple(token for place, token in own.items() if first <= place < last)
        cut = tuple(token for place, token in own.items() if not first <= place < last)
        words, found = find_words(read, text, 0), find_sentences(read, text)
        texts.append(PairText("", text, read, cut, keep_end and bool(cut), words, found))
        starts.append(next((place - first for place in places if first <= place < last), 0))
    return Pair(batch, (texts[0], texts[1]), (starts[0], starts[1]))


def _read_text(encoder: Encoder, text: str, prompt: str, count: int) -> PairText:
    """A text of a pair, of which the model reads ``count`` tokens."""
    inspected = encoder.tokenizer.inspect(text, prompt)
    alone = tuple(token for token in inspected.tokens if token.kind != "special")
    if encoder.spec.tokenizer.truncation_side == "left":
        tokens, is_start_cut = (*inspected.cut, *alone), True
        cut, read = tokens[: len(tokens) - count], tokens[len(tokens) - count :]
    else:
        tokens, is_start_cut = (*alone, *inspected.cut), False
        read, cut = tokens[:count], tokens[count:]
    whole = prompt + text
    words = find_words(read, whole, len(prompt))
    return PairText(prompt, text, read, cut, is_start_cut and bool(cut), words, find_sentences(read, whole))
