"""From text to token ids: the ``tokenizers`` library, with our rules around it.

Only this file and ``tokenizer_files.py`` use the library, which does the cutting. The rules that decide the numbers are
ours. A prompt goes before the text. Special tokens are added as the model's template says. A text that is too long is
cut at the side that the model names, usually its end; special tokens are never cut. The limits in ``tokenizer.json``
itself are ignored: the one of all-MiniLM-L6-v2, for example, is 128 tokens, left over from its training.

A long text is read in pieces (:mod:`pellucid.text.seams`), and only as far as its vector and a useful count of its
tokens require.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pellucid.errors import InvalidModelError, OptionError, TextError, UnsupportedModelError
from pellucid.model.spec import EncoderSpec, TokenizerSpec
from pellucid.reprs import short_text
from pellucid.sources.files import ModelFiles
from pellucid.text.checks import check_texts, check_utf8, counting_limit
from pellucid.text.pairs import PairTemplate, find_template
from pellucid.text.seams import MAX_PIECE_CHARACTERS, AddedToken, Seams, find_seams
from pellucid.text.tokenizer_files import TEMPLATE_RULE, is_panic, load, part_json, translate_errors
from pellucid.text.words import Words, find_rules
from pellucid.types import Int32, Int64, Token, TokenBatch, TokenizedText

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

logger = logging.getLogger("pellucid")
_PROBE_WORDS = 5  # How many words of the vocabulary to try, to find out where the special tokens go.
# The library holds a few hundred bytes for each token until a call ends, and ignores Ctrl-C meanwhile. So a call is
# limited to this many texts and this many characters.
_TEXTS_PER_CALL = 512
_CHARACTERS_PER_CALL = 250_000
_MAX_BLOCKING_CHARACTERS = 10_000
"""The longest text that the library may cut while Python's other threads wait, which takes about 20 ms."""
_WORDS_PER_LIST = 512  # How many words the library may have in one list. Longer lists would keep other cores idle.
_NONE = np.empty(0, dtype=np.int32)
_NO_LIMIT = 1 << 62
_LONG_TEXT_CHARACTERS = 100_000
"""A text with more characters is long: it is read in pieces, about this many characters of them at a time."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """The characters from ``start`` to ``end`` of a text, tokenized without special tokens."""

    start: int
    end: int
    encoding: Encoding


class Tokenizer:
    """Cuts texts into the tokens that a model was trained on.

    Args:
        files: the model's files.
        spec: what they say about the tokenizer.
        encoder: what they say about the encoder. The ids must fit its vocabulary.

    Raises:
        InvalidModelError: the tokenizer's files are broken, or have ids outside the encoder's vocabulary.
        UnsupportedModelError: the ``tokenizers`` library cannot read any of the files, or their template does more than
            add special tokens before and after a text.
    """

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, encoder: EncoderSpec) -> None:
        self.spec = spec
        self._name = files.name
        self._most_tokens = encoder.max_tokens
        self._backend = load(files, spec, encoder.family)
        self._unknown = _unknown_id(self._backend)
        empty: Any = self._encode([""])[0]  # Only the special tokens. The template has its own list of their ids.
        if not len(empty.ids) == len(empty.tokens) == len(empty.special_tokens_mask):
            raise InvalidModelError(
                f"{files.name}: the tokenizer's post_processor gives {len(empty.ids)} ids to {len(empty.tokens)} "
                f"tokens. Each token must have one id."
            )
        largest = max((*self._backend.get_vocab(with_added_tokens=True).values(), *empty.ids), default=-1)
        if largest >= encoder.vocab_size:
            raise InvalidModelError(
                f"{files.name}: the tokenizer has the id {largest}, but the encoder has vectors only for the ids below "
                f"{encoder.vocab_size}. The files may be of different models."
            )
        if spec.max_tokens <= len(empty.ids):
            raise InvalidModelError(
                f"{files.name}: max_seq_length {spec.max_tokens} leaves no room besides {len(empty.ids)} special "
                f"tokens."
            )
        self._before, self._after = self._split_specials(empty.ids)
        self._seams, self._words = self._inspect_parts()
        self._trims = _trims_first_space(part_json(self._backend.post_processor))

    def __repr__(self) -> str:
        size = self._backend.get_vocab_size(with_added_tokens=True)
        name = short_text(self._name, 60)
        return f"Tokenizer({name}, vocabulary of {size:,}, at most {self.spec.max_tokens:,} tokens)"

    @property
    def max_tokens(self) -> int:
        """How many tokens of a text are read, special tokens included."""
        return self.spec.max_tokens

    def limit(self, max_tokens: int) -> None:
        """Read at most ``max_tokens`` tokens of a text, special tokens included.

        Raises:
            OptionError: the encoder cannot read so many, or there is no room besides the special tokens.
        """
        if not self._specials < max_tokens <= self._most_tokens:
            raise OptionError(
                f"max_tokens={max_tokens} must be from {self._specials + 1} ({self._specials} special tokens and one "
                f"of the text) to {self._most_tokens}, the most that {self._name} can read.",
                "max_tokens",
            )
        self.spec = replace(self.spec, max_tokens=int(max_tokens))

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Callable[[], object] = lambda: None
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
            TextError: a text cannot be written in UTF-8, or has more than a million characters in a row that cannot be
                cut into pieces.
        """
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        limit = counting_limit(self.spec.max_tokens)
        batches: list[TokenBatch] = []
        counts: list[Int32] = []
        room, is_left = self.spec.max_tokens - self._specials, self.spec.truncation_side == "left"
        for number, part in _parts((prompt + text for text in texts) if prompt else texts):
            check()
            if self._words is not None and len(part[0]) <= _LONG_TEXT_CHARACTERS:
                ids, offsets, part_counts = self._words.look_up(part).join(self._before, self._after, room, is_left)
                batches.append(TokenBatch(ids, offsets))
                counts.append(part_counts)
                continue
            sequences = self._plain_ids(part, limit, check, first + number)
            batches.append(TokenBatch.from_sequences([*map(self._cut, sequences)]))
            counts.append(np.array([self._specials + len(ids) for ids in sequences], dtype=np.int32))
        if not batches:
            return TokenBatch.from_sequences([]), _NONE
        return TokenBatch.join(batches), np.minimum(counts[0] if len(counts) == 1 else np.concatenate(counts), limit)

    def tokenize_plain(
        self, texts: Sequence[str], *, first: int = 0, check: Callable[[], object] = lambda: None
    ) -> list[Int32]:
        """Cut texts into tokens, ``int32[n]`` for each, without special tokens and without a limit.

        Of a text with more than ``counting_limit`` tokens, only about that many are read, on
        the side that truncation keeps. The arguments and errors are those of :meth:`tokenize`.
        """
        check_texts(texts, first=first)
        limit = counting_limit(self.spec.max_tokens)
        found: list[Int32] = []
        for number, part in _parts(texts):
            check()
            if self._words is not None and len(part[0]) <= _LONG_TEXT_CHARACTERS:
                found += TokenBatch(*self._words.look_up(part).join(_NONE, _NONE, _NO_LIMIT, False)[:2])
            else:
                found += self._plain_ids(part, limit, check, first + number)
        return found

    @functools.cached_property
    def pair_template(self) -> PairTemplate:
        """Where the special tokens of a pair of texts go.

        Raises:
            UnsupportedModelError: the template does more than add special tokens around the two texts.
        """
        with translate_errors(self._name):
            specials = set(self._backend.encode("", "").ids)
        tried: list[tuple[str, list[int]]] = []
        for word in self._probe_words():
            try:
                plain = list(self._encode([word], specials=False)[0].ids)
            except InvalidModelError:  # It has no token for unknown words. Other texts may not need one.
                continue
            if specials & set(plain):  # The vocabulary has the special tokens too.
                continue
            for other, ids in tried:
                with translate_errors(self._name):
                    pair = self._backend.encode(other, word)
                if (template := find_template(pair.ids, pair.type_ids, ids, plain)) is not None:
                    return template
            tried.append((word, plain))
        raise UnsupportedModelError(
            f"{self._name}: the tokenizer's post_processor is not supported for pairs: {TEMPLATE_RULE}."
        )

    def count(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Callable[[], object] = lambda: None
    ) -> Int32:
        """Count all the tokens of each text, ``int32[B]``. Arguments and errors are those of :meth:`tokenize`."""
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        counts: list[Int32] = [_NONE]
        for number, part in _parts((prompt + text for text in texts) if prompt else texts):
            check()
            if len(part[0]) > _LONG_TEXT_CHARACTERS:
                pieces = self._pieces(part[0], check, first + number, backwards=False)
                counts.append(np.array([sum(len(piece.encoding) for piece in pieces)], dtype=np.int32))
            elif self._words is not None:
                counts.append(self._words.look_up(part).counts())
            else:
                counts.append(np.array([*map(len, self._encode(part, specials=False))], dtype=np.int32))
        return np.concatenate(counts) + np.int32(self._specials)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens at the start of a text belong to the prompt, with the special tokens before it.

        They are counted as in sentence-transformers: the tokens of the prompt alone, minus the special token after it.

        Raises:
            TextError: the prompt cannot be written in UTF-8.
        """
        check_utf8(prompt, "the prompt")
        return int(self.count([prompt])[0]) - min(1, len(self._after)) if prompt else 0

    def characters(self, text: str) -> tuple[Int64, Int64]:
        """The characters of a text that each token was made from.

        Returns:
            The first character of each token, and the character after its last. Both are ``int64[T]``, without special
            tokens and without truncation.

        Raises:
            TextTypeError, TextError: as in :meth:`tokenize`.
        """
        check_texts([text])
        pieces = self._pieces(text, lambda: None, 0, backwards=False, offsets=True)
        offsets = np.concatenate([self._offsets(piece) for piece in pieces])
        return offsets[:, 0], offsets[:, 1]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text that token ids stand for. It is the normalized text, not the original.

        Args:
            ids: token ids. Ids without a token are skipped.
            skip_special: leave out special tokens.
        """
        with translate_errors(self._name):
            text: str = self._backend.decode(list(ids), skip_special_tokens=skip_special)
        return text

    def piece(self, token_id: int) -> str:
        """The spelling of a token in the vocabulary; "" for an id without a token."""
        return self._backend.id_to_token(token_id) or ""

    def token_id(self, piece: str) -> int | None:
        """The id of the token with this spelling; None if the vocabulary has none."""
        token_id: int | None = self._backend.token_to_id(piece)
        return token_id

    def inspect(self, text: str, prompt: str = "") -> TokenizedText:
        """Show what :meth:`tokenize` does to one text, with the characters of each token. It raises the same errors.

        For a long text, it shows at most 16,384 tokens, or twice ``max_tokens`` if that is more.
        """
        check_texts([text])
        check_utf8(prompt, "the prompt")
        whole, limit = prompt + text, counting_limit(self.spec.max_tokens) - self._specials
        is_left = self.spec.truncation_side == "left"
        pieces, finished = self._read_until(whole, limit + self._specials, lambda: None, 0, offsets=True)
        finished = finished and sum(len(piece.encoding) for piece in pieces) <= limit
        for piece in pieces:
            piece.encoding.truncate(limit, direction=self.spec.truncation_side)
        tokens = tuple(token for piece in pieces for token in self._tokens(piece))
        tokens = tokens[-limit:] if is_left else tokens[:limit]
        room = self.spec.max_tokens - self._specials
        kept, cut = (tokens[-room:], tokens[:-room]) if is_left else (tokens[:room], tokens[room:])
        read = whole if finished else whole[min(t.start for t in tokens) : max(t.end for t in tokens)]
        return TokenizedText(self._normalize(read), self._add_specials(kept), cut, finished)

    @property
    def _specials(self) -> int:
        return len(self._before) + len(self._after)

    def _cut(self, ids: Int32) -> Int32:
        """Cut ids without special tokens to what the model reads, and put the special tokens around them."""
        room = self.spec.max_tokens - self._specials
        kept = ids[-room:] if self.spec.truncation_side == "left" else ids[:room]
        return np.concatenate([self._before, kept, self._after])

    def _plain_ids(self, part: list[str], limit: int, check: Callable[[], object], position: int) -> list[Int32]:
        """Ask the library about the texts of a part, or about pieces of a long text until they have ``limit`` tokens.

        Returns:
            ``int32[n]`` for each text, without special tokens.
        """
        if len(part[0]) <= _LONG_TEXT_CHARACTERS:
            return [np.array(encoding.ids, dtype=np.int32) for encoding in self._encode(part, specials=False)]
        pieces, _ = self._read_until(part[0], limit, check, position)
        return [np.concatenate([np.array(piece.encoding.ids, dtype=np.int32) for piece in pieces])]

    def _read_until(
        self, text: str, limit: int, check: Callable[[], object], position: int, *, offsets: bool = False
    ) -> tuple[list[_Piece], bool]:
        """Read pieces of a text until they have ``limit`` tokens, special tokens included.

        Reading starts on the side of the text that truncation keeps.

        Returns:
            The pieces, in order, and True if they are the whole text.
        """
        pieces: list[_Piece] = []
        tokens = self._specials
        is_left = self.spec.truncation_side == "left"
        for piece in self._pieces(text, check, position, backwards=is_left, offsets=offsets):
            pieces.append(piece)
            tokens += len(piece.encoding)
            if tokens >= limit:
                break
        pieces.sort(key=lambda piece: piece.start)
        return pieces, pieces[0].start == 0 and pieces[-1].end == len(text)

    def _pieces(
        self, text: str, check: Callable[[], object], position: int, *, backwards: bool, offsets: bool = False
    ) -> Iterator[_Piece]:
        """The pieces of a text, tokenized a few at a time. A text that is not long is a single piece.

        Raises:
            TextError: a piece is too long. ``position`` is the position of the text, for the message.
        """
        is_long = len(text) > _LONG_TEXT_CHARACTERS
        spans = self._seams.pieces(text, backwards=backwards) if is_long else iter([(0, len(text))])
        for group in _groups(spans):
            check()
            start, end = group[0]
            if end - start > MAX_PIECE_CHARACTERS:
                raise TextError(
                    f"text {position} has more than {MAX_PIECE_CHARACTERS:,} characters in a row that the tokenizer "
                    f"cannot read in pieces, such as a very long word. They are between the characters {start:,} and "
                    f"{end:,}. Split the text, or leave them out."
                )
            encodings = self._encode([text[start:end] for start, end in group], specials=False, offsets=offsets)
            for (start, end), encoding in zip(group, encodings, strict=True):
                yield _Piece(start, end, encoding)

    def _encode(
        self, texts: Sequence[str] | Sequence[list[str]], *, specials: bool = True, offsets: bool = False
    ) -> Sequence[Encoding]:
        """Call the library. Instead of texts, it also takes lists of words, each of which is tokenized by itself.

        A single short text is encoded without the library's threads, because they would linger on the core. But then
        Python's other threads wait for the library, so a long text would stop a server for seconds.
        """
        are_words = not isinstance(texts[0], str)
        size = sum(map(len, texts[0])) if are_words else len(texts[0])
        options = {"is_pretokenized": are_words, "add_special_tokens": specials}
        with translate_errors(self._name):
            if len(texts) > 1 or size > _MAX_BLOCKING_CHARACTERS:
                batch = self._backend.encode_batch if offsets or are_words else self._backend.encode_batch_fast
                try:
                    return batch(texts, **options)
                except BaseException as error:
                    if not is_panic(error) or "thread pool" not in str(error):
                        raise
                    logger.warning("The tokenizers library cannot start threads, so texts are tokenized one by one.")
            return [self._backend.encode(text, **options) for text in texts]

    def _ask_words(self, words: list[str]) -> tuple[Int32, Int32]:
        """How many ids each word has, ``int32[n]``, and the ids of all, in order. Each word is tokenized by itself."""
        groups = [words[start : start + _WORDS_PER_LIST] for start in range(0, len(words), _WORDS_PER_LIST)]
        counts, ids = [], []
        for group, encoding in zip(groups, self._encode(groups, specials=False), strict=True):
            counts.append(np.bincount(np.array(encoding.word_ids, dtype=np.int32), minlength=len(group)))
            ids.append(np.array(encoding.ids, dtype=np.int32))
        return np.concatenate(counts).astype(np.int32), np.concatenate(ids)

    def _ask_texts(self, texts: list[str]) -> tuple[Int32, Int32]:
        """The same for texts that are longer than a word."""
        encodings = [encoding for _, part in _parts(texts) for encoding in self._encode(part, specials=False)]
        ids = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        return np.array([*map(len, ids)], dtype=np.int32), np.concatenate(ids)

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
            kind: Literal["unknown", "text"] = "unknown" if token_id == self._unknown else "text"
            yield Token(token_id, spelling, start, end, kind, word is not None and word == previous_word)
            previous_word = word

    def _add_specials(self, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        empty = self._encode([""])[0]
        specials = tuple(Token(*pair, 0, 0, "special", False) for pair in zip(empty.ids, empty.tokens, strict=True))
        return specials[: len(self._before)] + tokens + specials[len(self._before) :]

    def _normalize(self, text: str) -> str:
        normalizer = self._backend.normalizer
        with translate_errors(self._name):
            normalized: str = text if normalizer is None else normalizer.normalize_str(text)
        return normalized

    def _split_specials(self, specials: list[int]) -> tuple[Int32, Int32]:
        """Split the special tokens into those before a text and those after it, by tokenizing a word.

        Raises:
            UnsupportedModelError: the template does not contain the text exactly once, between special tokens.
            InvalidModelError: none of the words has tokens.
        """
        failure = None
        for word in self._probe_words():
            try:
                encoded = list(self._encode([word])[0].ids)
                plain = list(self._encode([word], specials=False)[0].ids)
            except InvalidModelError as error:  # It has no token for unknown words. Other texts may not need one.
                failure = error
                continue
            if not plain or set(plain) & set(specials):
                continue
            for place in range(len(specials) + 1):
                if encoded == [*specials[:place], *plain, *specials[place:]]:
                    return np.array(specials[:place], dtype=np.int32), np.array(specials[place:], dtype=np.int32)
            raise UnsupportedModelError(
                f"{self._name}: the tokenizer's post_processor is not supported: {TEMPLATE_RULE}."
            )
        raise failure or InvalidModelError(
            f"{self._name}: the tokenizer turns none of its own words into tokens. Get the model's files again."
        )

    def _probe_words(self) -> Iterator[str]:
        yield from ("a", "the")
        # Nearly every model has tokens for one of those. Reading the vocabulary would make each start 10 ms slower.
        yield from itertools.islice(self._backend.get_vocab(with_added_tokens=False), _PROBE_WORDS)

    def _inspect_parts(self) -> tuple[Seams, Words | None]:
        """Find out where long texts can be cut into pieces, and whether texts can be cut into words."""
        backend = self._backend

        def pieces(text: str) -> list[str]:
            return [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(self._normalize(text))]

        with translate_errors(self._name):
            added = [AddedToken(t.content, t.normalized, t.rstrip) for t in backend.get_added_tokens_decoder().values()]
            parts = part_json(backend.normalizer), part_json(backend.pre_tokenizer)
            normalize = None if parts[0] is None else self._normalize
            rules = find_rules(*parts, added, normalize, pieces)
            words = None if rules is None else Words(rules, self._ask_words, self._ask_texts, self._normalize)
            return find_seams(*parts, added, normalize), words


def _groups(spans: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Group spans, so that a group has at most ``_LONG_TEXT_CHARACTERS`` characters, or is a single longer span."""
    group: list[tuple[int, int]] = []
    for start, end in spans:
        if group and end - start + sum(b - a for a, b in group) > _LONG_TEXT_CHARACTERS:
            yield group
            group = []
        group.append((start, end))
    yield group


def _parts(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Group texts, so that a group is what one call of the library may have, or is a single long text.

    Yields:
        The number of the first text of a group, and the group.
    """
    first, waiting = 0, iter(texts)
    while group := list(itertools.islice(waiting, _TEXTS_PER_CALL)):
        if sum(map(len, group)) <= _LONG_TEXT_CHARACTERS:  # The usual case.
            yield first, group
            first += len(group)
            continue
        part: list[str] = []
        characters = 0
        for text in group:
            is_full = characters + len(text) > _CHARACTERS_PER_CALL
            if part and (is_full or max(len(text), len(part[0])) > _LONG_TEXT_CHARACTERS):
                yield first, part
                first += len(part)
                part, characters = [], 0
            part.append(text)
            characters += len(text)
        yield first, part
        first += len(part)


def _unknown_id(backend: Backend) -> int | None:
    """The id of the unknown token; None for a tokenizer that can spell any text."""
    model: Any = backend.model
    token = getattr(model, "unk_token", None)
    return getattr(model, "unk_id", None) if token is None else backend.token_to_id(token)


def _trims_first_space(part: dict[str, Any] | None) -> bool:
    """True if a post-processor moves the offsets of a first token that begins with a space."""
    if part is None:
        return False
    if part["type"] == "Sequence":
        return any(map(_trims_first_space, part["processors"]))
    return part["type"] in ("RobertaProcessing", "ByteLevel") and part["trim_offsets"] and part["add_prefix_space"]
