"""From text to token ids: the ``tokenizers`` library, with our rules around it.

The library does the cutting (:mod:`pellucid.text.library`), or a table that remembers what it said about words
(:mod:`pellucid.text.words`). The rules that decide the numbers are ours. A prompt goes before the text. Special tokens
are added as the model's template says (:mod:`pellucid.text.templates`). A text that is too long is cut at the side that
the model names, usually its end; special tokens are never cut. The limits in ``tokenizer.json`` itself are ignored: the
one of all-MiniLM-L6-v2, for example, is 128 tokens, left over from its training.

Each text is tokenized once. A text that is too long is cut where its ids are. A long text is read in pieces
(:mod:`pellucid.text.seams`), and only as far as its vector and a useful count of its tokens require.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.errors import InvalidModelError, OptionError, TextError
from pellucid.model.spec import EncoderSpec, TokenizerSpec
from pellucid.reprs import short_text
from pellucid.sources.files import ModelFiles
from pellucid.text.chat import ChatTemplate, ChatTexts, common_ending
from pellucid.text.checks import check_texts, check_utf8, counting_limit
from pellucid.text.inspection import Inspection
from pellucid.text.library import Library, split_into_parts
from pellucid.text.pairs import PairTemplate
from pellucid.text.seams import LONG_TEXT_CHARACTERS, Seams, find_seams
from pellucid.text.templates import find_pair_template, find_text_template
from pellucid.text.words import CHARACTERS_PER_PART, TEXTS_PER_PART, Words, find_rules
from pellucid.types import Int32, Int64, TokenBatch, TokenizedText

_EMPTY = TokenBatch(np.empty(0, dtype=np.int32), np.zeros(1, dtype=np.int32))

Check = Callable[[], object]


class Tokenizer:
    """Cuts texts into the tokens that a model was trained on.

    Args:
        files: the model's files.
        spec: what they say about the tokenizer.
        encoder: what they say about the encoder. The ids must fit its vocabulary.
        threads: the most threads for long lists of texts. The ``tokenizers`` library has its own number of them.

    Raises:
        InvalidModelError: the tokenizer's files are broken, or have ids outside the encoder's vocabulary.
        UnsupportedModelError: the ``tokenizers`` library cannot read any of the files, or their template does more than
            add special tokens before and after a text.
    """

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, encoder: EncoderSpec, threads: int = 1) -> None:
        self.spec = spec
        self._name = files.name
        self._most_tokens = encoder.max_tokens
        self._library = Library(files, spec, encoder.family)
        # Only the special tokens. The template has its own list of their ids.
        empty: Any = self._library.encode([""], specials=True)[0]
        if not len(empty.ids) == len(empty.tokens) == len(empty.special_tokens_mask):
            raise InvalidModelError(
                f"{files.name}: the tokenizer's post_processor gives {len(empty.ids)} ids to {len(empty.tokens)} "
                f"tokens. Each token must have one id."
            )
        self._vectors = encoder.vocab_size
        self._may_lack_vectors = self._check_vocabulary(empty.ids)
        if spec.max_tokens <= len(empty.ids):
            raise InvalidModelError(
                f"{files.name}: max_seq_length {spec.max_tokens} leaves no room besides {len(empty.ids)} special "
                f"tokens."
            )
        self._template = find_text_template(self._library, empty.ids)
        self._seams, self._words = _find_cuts(self._library, threads)
        self._inspection = Inspection(self._library, self._seams, self._template)

    def _check_vocabulary(self, specials: list[int]) -> bool:
        """Refuse a vocabulary that the encoder does not have. True if a token that was added to it has no vector.

        Gemma's tokenizer, for example, has a token for pictures, and models without pictures have no vector for it.
        """
        vocabulary = self._library.vocabulary
        if max((*vocabulary.values(), *specials), default=-1) < self._vectors:
            return False
        added = {token.content for token in self._library.added_tokens}
        needed = max((*specials, *(number for token, number in vocabulary.items() if token not in added)), default=-1)
        if needed >= self._vectors:
            raise InvalidModelError(
                f"{self._name}: the tokenizer has the id {needed}, but the encoder has vectors only for the ids below "
                f"{self._vectors}. The files may be of different models."
            )
        return True

    def __repr__(self) -> str:
        name = short_text(self._name, 60)
        return f"Tokenizer({name}, vocabulary of {self._library.size:,}, at most {self.spec.max_tokens:,} tokens)"

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read, special tokens included."""
        return self.spec.max_tokens

    def limit(self, max_tokens: int) -> None:
        """Read at most ``max_tokens`` tokens of a text, special tokens included.

        Raises:
            OptionError: the encoder cannot read so many, or there is no room besides the special tokens.
        """
        specials = self._template.specials
        if not specials < max_tokens <= self._most_tokens:
            raise OptionError(
                f"max_tokens={max_tokens} must be from {specials + 1} ({specials} special tokens and one of the text) "
                f"to {self._most_tokens}, the most that {self._name} can read.",
                "max_tokens",
            )
        self.spec = replace(self.spec, max_tokens=int(max_tokens))

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Check = lambda: None
    ) -> tuple[TokenBatch, Int32]:
        """Cut texts into tokens, at most ``max_tokens`` for each text.

        Args:
            texts: any texts; ``""`` is a text too.
            prompt: goes before each text.
            first: the position of the first text, for messages.
            check: called between the parts of the work. To stop the work, it raises an exception.

        Returns:
            The tokens, and ``int32[B]``: how many tokens each text had before truncation. The count stops at 16,384, or
            at twice ``max_tokens`` if that is more. A long text is not read beyond that.

        Raises:
            TextTypeError: a value is not a text.
            TextError: a text cannot be written in UTF-8, has more than a million characters in a row that cannot be
                cut into pieces, or has a token for which the model has no vector.
        """
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        return self._tokenize(texts, prompt, range(first, first + len(texts)), check)

    def _tokenize(
        self, texts: Sequence[str], prompt: str, positions: Sequence[int], check: Check
    ) -> tuple[TokenBatch, Int32]:
        """Do the same for texts that are checked, and stand at any positions."""
        limit = counting_limit(self.spec.max_tokens)
        if len(texts) == 1 and len(prompt) + len(texts[0]) <= LONG_TEXT_CHARACTERS:  # A query: every step counts.
            check()
            text = prompt + texts[0]
            ids = self._library.ids_of_one(text) if self._words is None else self._words.ids_of_one(text)
            count = min(len(ids) + self._template.specials, limit)
            tokens = self._template.apply_to_one(ids, self.spec.max_tokens, keep_end=self._keeps_end)
            self._check_ids(tokens, positions)
            return tokens, np.array([count], dtype=np.int32)
        batches: list[TokenBatch] = []
        counts: list[Int32] = []
        for plain in self._plain(texts, prompt, positions, limit, check):
            batches.append(self._template.apply(plain, self.spec.max_tokens, keep_end=self._keeps_end))
            counts.append(np.minimum(plain.lengths + np.int32(self._template.specials), limit))
        tokens = TokenBatch.join(batches or [_EMPTY])
        self._check_ids(tokens, positions)
        return tokens, np.concatenate(counts or [_EMPTY.ids])

    def _check_ids(self, tokens: TokenBatch, positions: Sequence[int]) -> None:
        """Refuse a text with a token that has no vector. ``positions`` has the position of each text."""
        if self._may_lack_vectors and len(places := np.flatnonzero(tokens.ids >= self._vectors)):
            text = int(np.searchsorted(tokens.offsets, places[0], side="right")) - 1
            raise TextError(
                f"text {positions[text]} has the token {self.piece(int(tokens.ids[places[0]]))!r}, for which the model "
                f"has no vector. Leave it out of the text."
            )

    def tokenize_plain(self, texts: Sequence[str], *, first: int = 0, check: Check = lambda: None) -> TokenBatch:
        """Cut texts into tokens without special tokens and without a limit.

        Of a text with more than ``counting_limit`` tokens, only about that many are read, on
        the side that truncation keeps. The arguments and errors are those of :meth:`tokenize`.
        """
        check_texts(texts, first=first)
        limit, positions = counting_limit(self.spec.max_tokens), range(first, first + len(texts))
        tokens = TokenBatch.join([*self._plain(texts, "", positions, limit, check)] or [_EMPTY])
        self._check_ids(tokens, positions)
        return tokens

    @functools.cached_property
    def pair_template(self) -> PairTemplate:
        """Where the special tokens of a pair of texts go.

        Raises:
            UnsupportedModelError: the template does more than add special tokens around the two texts.
        """
        return find_pair_template(self._library)

    @functools.cached_property
    def chat(self) -> ChatTemplate | None:
        """The chat template that texts go through; None for a model without.

        Raises:
            InvalidModelError, UnsupportedModelError: the template cannot be used.
        """
        return None if self.spec.chat is None else ChatTemplate(self.spec.chat, self._name)

    def render(self, chat: ChatTemplate, texts: Sequence[str] | Sequence[tuple[str, str]], prompt: str) -> ChatTexts:
        """Send texts, or pairs of texts, through the chat template. ``prompt`` has the instructions; "" for its own.

        Raises:
            UnsupportedModelError: the template fails.
        """
        if not texts:
            return ChatTexts([], _EMPTY.ids)
        fillers = self.tokenize_plain(chat.fillers(isinstance(texts[0], tuple), prompt))
        return ChatTexts([chat.render(text, prompt) for text in texts], common_ending(*fillers))

    def start_of(self, text: str, tokens: int) -> str:
        """The part of a text that gives its first tokens; its last ones if truncation keeps those."""
        check_texts([text])
        starts, ends = self._inspection.characters(text)
        if len(ends) <= tokens:
            return text
        return text[int(starts[-tokens]) :] if self._keeps_end else text[: int(ends[tokens - 1])]

    def count(self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Check = lambda: None) -> Int32:
        """Count all the tokens of each text, ``int32[B]``. Arguments and errors are those of :meth:`tokenize`."""
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        counts = [_EMPTY.ids]
        for number, part in self._split(prompt + text for text in texts):
            check()
            if len(part[0]) <= LONG_TEXT_CHARACTERS:
                counts.append(self._ids(part).lengths)
            else:
                groups = self._read(part[0], first + number, check, backwards=False)
                counts.append(np.array([sum(len(group.ids) for group in groups)], dtype=np.int32))
        return np.concatenate(counts) + np.int32(self._template.specials)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens at the start of a text belong to the prompt, with the special tokens before it.

        They are counted as in sentence-transformers: the tokens of the prompt alone, minus the special token after it.

        Raises:
            TextError: the prompt cannot be written in UTF-8.
        """
        check_utf8(prompt, "the prompt")
        return int(self.count([prompt])[0]) - min(1, len(self._template.after)) if prompt else 0

    def characters(self, text: str) -> tuple[Int64, Int64]:
        """The characters of a text that each token was made from.

        Returns:
            The first character of each token, and the character after its last. Both are ``int64[T]``, without special
            tokens and without truncation.

        Raises:
            TextTypeError, TextError: as in :meth:`tokenize`.
        """
        check_texts([text])
        return self._inspection.characters(text)

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text that token ids stand for. It is the normalized text, not the original.

        Args:
            ids: token ids. Ids without a token are skipped.
            skip_special: leave out special tokens.
        """
        return self._library.decode(ids, skip_special=skip_special)

    def piece(self, token_id: int) -> str:
        """The spelling of a token in the vocabulary; "" for an id without a token."""
        return self._library.piece(token_id) or ""

    def token_id(self, piece: str) -> int | None:
        """The id of the token with this spelling; None if the vocabulary has none."""
        return self._library.token_id(piece)

    def inspect(self, text: str, prompt: str = "") -> TokenizedText:
        """Show what :meth:`tokenize` does to one text, with the characters of each token. It raises the same errors.

        For a long text, it shows at most 16,384 tokens, or twice ``max_tokens`` if that is more.
        """
        check_texts([text])
        check_utf8(prompt, "the prompt")
        most = self.spec.max_tokens
        return self._inspection.inspect(prompt + text, most, counting_limit(most), keep_end=self._keeps_end)

    @property
    def _keeps_end(self) -> bool:
        return self.spec.truncation_side == "left"

    def _plain(
        self, texts: Sequence[str], prompt: str, positions: Sequence[int], limit: int, check: Check
    ) -> Iterator[TokenBatch]:
        """The tokens of texts, part by part, without special tokens.

        Args:
            texts: the texts.
            prompt: goes before each text.
            positions: the position of each text, for messages.
            limit: read a long text until it has so many tokens, special tokens included.
            check: called between the parts of the work.
        """
        for number, part in self._split((prompt + text for text in texts) if prompt else texts):
            check()
            if len(part[0]) <= LONG_TEXT_CHARACTERS:
                yield self._ids(part)
            else:
                yield self._start_of(part[0], positions[number], limit - self._template.specials, check)

    def _split(self, texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Group texts, so that a group can be tokenized in one go, or is a single long text; with its first number."""
        if self._words is None:
            return split_into_parts(texts)
        return split_into_parts(texts, TEXTS_PER_PART, CHARACTERS_PER_PART)

    def _ids(self, texts: list[str]) -> TokenBatch:
        """The ids of texts that are not long, without special tokens."""
        return self._library.ids(texts) if self._words is None else self._words.ids(texts)

    def _start_of(self, text: str, position: int, limit: int, check: Check) -> TokenBatch:
        """At least ``limit`` ids of a long text, or all; they begin on the side of the text that truncation keeps."""
        groups: list[Int32] = []
        count = 0
        for group in self._read(text, position, check, backwards=self._keeps_end):
            groups.append(group.ids)
            count += len(group.ids)
            if count >= limit:
                break
        ids = np.concatenate(groups[::-1] if self._keeps_end else groups)
        return TokenBatch(ids, np.array([0, len(ids)], dtype=np.int32))

    def _read(self, text: str, position: int, check: Check, *, backwards: bool) -> Iterator[TokenBatch]:
        """Read a long text, a few pieces at a time.

        Raises:
            TextError: a piece is too long. ``position`` is the position of the text, for the message.
        """
        for group in self._seams.groups(text, position, backwards=backwards):
            check()
            yield self._ids([text[start:end] for start, end in group])


def _find_cuts(library: Library, threads: int) -> tuple[Seams, Words | None]:
    """Find out where long texts can be cut into pieces, and whether texts can be cut into words."""
    parts, added = (library.normalizer, library.pre_tokenizer), library.added_tokens
    normalize = None if parts[0] is None else library.normalize
    rules = find_rules(*parts, added, normalize, library.cut)
    return find_seams(*parts, added, normalize), None if rules is None else Words(rules, library, threads)
