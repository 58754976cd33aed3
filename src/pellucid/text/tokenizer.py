"""Text to token ids: the ``tokenizers`` library, known to this file and ``tokenizer_files.py`` alone, behind our rules.

The library does the cutting. The rules that decide the numbers are here: a prompt is put before the text; special
tokens are added as the model's template says; a longer text loses its end, never its special tokens; and what
``tokenizer.json`` says of truncation and padding is put aside (that of all-MiniLM-L6-v2 carries a training run's 128).

A long text is read in pieces (:mod:`pellucid.text.seams`), and no further than its vector and a fair count of its
tokens need.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pellucid.errors import InvalidModelError, OptionError, TextError, UnsupportedModelError
from pellucid.model.spec import EncoderSpec, TokenizerSpec
from pellucid.sources.files import ModelFiles
from pellucid.text.checks import check_texts, check_utf8, most_counted
from pellucid.text.seams import MOST_WITHOUT_SEAM, AddedToken, Seams, seams_of
from pellucid.text.tokenizer_files import guarded, is_panic, load, state
from pellucid.types import Int32, Int64, Token, TokenBatch, TokenizedText

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

logger = logging.getLogger("pellucid")
_PROBES = 5
_TEXTS_PER_CALL = 512
_CHARACTERS_PER_CALL = 250_000
"""The library holds some hundred bytes a token until a call ends, and hears no Ctrl-C meanwhile; these bound both."""
_SHORT = 10_000
"""Characters of a text that the library may cut without letting Python's other threads work: some 20 ms."""
_LONG = 100_000
"""A text of more characters is read in pieces, this many characters of them at a time."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """Characters ``start`` to ``end`` of a text, tokenized without special tokens."""

    start: int
    end: int
    encoding: Encoding


class Tokenizer:
    """Cuts texts into tokens as a model was trained with.

    Args:
        files, spec: the model's.
        encoder: its shape, for the range of the ids.

    Raises:
        InvalidModelError: the tokenizer's files are broken, or have ids beyond the encoder's vocabulary.
        UnsupportedModelError: there are none that the ``tokenizers`` library can read, or they ask for more than
            special tokens before and after a text.
    """

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, encoder: EncoderSpec) -> None:
        self.spec = spec
        self._name = files.name
        self._backend = load(files, spec, encoder.family)
        self._unknown = _unknown_id(self._backend)
        nothing: Any = self._encode([""])[0]  # Only what the template adds, which has ids of its own.
        if not len(nothing.ids) == len(nothing.tokens) == len(nothing.special_tokens_mask):
            given = f"{len(nothing.ids)} ids to {len(nothing.tokens)} tokens"
            raise InvalidModelError(f"{files.name}: the tokenizer's post_processor gives {given}; each must have one.")
        largest = max((*self._backend.get_vocab(with_added_tokens=True).values(), *nothing.ids), default=-1)
        if largest >= encoder.vocab_size:
            raise InvalidModelError(
                f"{files.name}: the tokenizer has the id {largest}, and the encoder has vectors for the ids below "
                f"{encoder.vocab_size}. The files may be of different models."
            )
        if spec.max_tokens <= len(nothing.ids):
            raise InvalidModelError(
                f"{files.name}: max_seq_length {spec.max_tokens} leaves no room beside {len(nothing.ids)} special "
                f"tokens."
            )
        self._before, self._after = self._template(nothing.ids)
        self._seams = self._found_seams()
        self._trims = _trims_first_space(state(self._backend.post_processor))

    def limit(self, max_tokens: int) -> None:
        """Read no more of a text than so many tokens.

        Raises:
            OptionError: that is more than the model reads, or leaves no room beside the special tokens.
        """
        if not self._specials < max_tokens <= self.spec.max_tokens:
            raise OptionError(
                f"max_tokens={max_tokens} must be from {self._specials + 1} ({self._specials} special tokens and one "
                f"of the text) to {self.spec.max_tokens}, the most that {self._name} reads."
            )
        self.spec = replace(self.spec, max_tokens=int(max_tokens))

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Callable[[], object] = lambda: None
    ) -> tuple[TokenBatch, Int32]:
        """Cut texts into tokens, at most ``max_tokens`` each.

        Args:
            texts: any texts; ``""`` is one.
            prompt: put before each of them.
            first: the position of the first text, for messages.
            check: called between the parts of the work; what it raises ends the work.

        Returns:
            The tokens, and ``int32[B]``: how many each text had before it was truncated. They are counted up to
            16,384, or twice ``max_tokens`` if that is more; a long text is not read beyond.

        Raises:
            TextTypeError, TextError: a value is not a text, or not one that UTF-8 can write, or a text of more than a
                million characters that cannot be read in pieces.
        """
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        most = most_counted(self.spec.max_tokens)
        sequences: list[Int32] = []
        counts: list[int] = []
        for part in _parts((prompt + text for text in texts) if prompt else texts):
            check()
            if len(part[0]) > _LONG:
                pieces, _ = self._until(part[0], most, check, first + len(counts))
                ids = np.concatenate([np.array(piece.encoding.ids, dtype=np.int32) for piece in pieces])
                counts.append(self._specials + len(ids))
                sequences.append(self._cut(ids))
                continue
            for encoding in self._encode(part):
                ids = np.array(encoding.ids, dtype=np.int32)
                counts.append(len(ids))
                if len(ids) > self.spec.max_tokens:
                    ids = self._cut(ids[len(self._before) : len(ids) - len(self._after)])
                sequences.append(ids)
        return TokenBatch.from_sequences(sequences), np.minimum(np.array(counts, dtype=np.int32), most)

    def count(
        self, texts: Sequence[str], prompt: str = "", *, first: int = 0, check: Callable[[], object] = lambda: None
    ) -> Int32:
        """How many tokens each text has, ``int32[B]``, however many; the arguments and errors of :meth:`tokenize`."""
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        counts: list[int] = []
        for part in _parts((prompt + text for text in texts) if prompt else texts):
            check()
            if len(part[0]) > _LONG:
                pieces = self._pieces(part[0], check, first + len(counts), backwards=False)
                counts.append(self._specials + sum(len(piece.encoding) for piece in pieces))
            else:
                counts += map(len, self._encode(part))
        return np.array(counts, dtype=np.int32)

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens at the start of a text are the prompt's, with the special tokens before it.

        As sentence-transformers counts them: the prompt alone, less the special token that closes it.

        Raises:
            TextError: the prompt is not one that UTF-8 can write.
        """
        check_utf8(prompt, "the prompt")
        return int(self.count([prompt])[0]) - min(1, len(self._after)) if prompt else 0

    def characters(self, text: str) -> tuple[Int64, Int64]:
        """From which characters of a text each token was made: the first, and the one after the last.

        Returns:
            Both ``int64[T]``, without special tokens and without truncation.

        Raises:
            TextTypeError, TextError: as :meth:`tokenize`.
        """
        check_texts([text])
        pieces = self._pieces(text, lambda: None, 0, backwards=False, offsets=True)
        offsets = np.concatenate([self._offsets(piece) for piece in pieces])
        return offsets[:, 0], offsets[:, 1]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """What token ids spell, as far as they can: what the normalizer changed stays changed.

        Args:
            ids: of the vocabulary; one that has no token is passed over.
            skip_special: leave out the tokens that the model adds.
        """
        with guarded(self._name):
            spelled: str = self._backend.decode(list(ids), skip_special_tokens=skip_special)
        return spelled

    def inspect(self, text: str, prompt: str = "") -> TokenizedText:
        """What :meth:`tokenize` does to one text, with every token's characters; the errors are the same.

        Of a long text, it tells no more than 16,384 tokens, or twice ``max_tokens`` if that is more.
        """
        check_texts([text])
        check_utf8(prompt, "the prompt")
        whole, most = prompt + text, most_counted(self.spec.max_tokens) - self._specials
        left = self.spec.truncation_side == "left"
        pieces, finished = self._until(whole, most + self._specials, lambda: None, 0, offsets=True)
        finished = finished and sum(len(piece.encoding) for piece in pieces) <= most
        for piece in pieces:
            piece.encoding.truncate(most, direction=self.spec.truncation_side)
        every = tuple(token for piece in pieces for token in self._tokens(piece))
        every = every[-most:] if left else every[:most]
        room = self.spec.max_tokens - self._specials
        kept, cut = (every[-room:], every[:-room]) if left else (every[:room], every[room:])
        read = whole if finished else whole[min(t.start for t in every) : max(t.end for t in every)]
        return TokenizedText(self._normalized(read), self._with_specials(kept), cut, finished)

    @property
    def _specials(self) -> int:
        return len(self._before) + len(self._after)

    def _cut(self, ids: Int32) -> Int32:
        """Ids without special tokens, cut to what the model reads, with the special tokens put around them."""
        room = self.spec.max_tokens - self._specials
        kept = ids[-room:] if self.spec.truncation_side == "left" else ids[:room]
        return np.concatenate([self._before, kept, self._after])

    def _until(
        self, text: str, most: int, check: Callable[[], object], position: int, *, offsets: bool = False
    ) -> tuple[list[_Piece], bool]:
        """Pieces of a text, in order, from the end that is kept until they have ``most`` tokens with special ones; and
        whether they are all of it.
        """
        left = self.spec.truncation_side == "left"
        pieces: list[_Piece] = []
        tokens = self._specials
        for piece in self._pieces(text, check, position, backwards=left, offsets=offsets):
            pieces.append(piece)
            tokens += len(piece.encoding)
            if tokens >= most:
                break
        pieces.sort(key=lambda piece: piece.start)
        return pieces, pieces[0].start == 0 and pieces[-1].end == len(text)

    def _pieces(
        self, text: str, check: Callable[[], object], position: int, *, backwards: bool, offsets: bool = False
    ) -> Iterator[_Piece]:
        """The pieces of a text, tokenized a few at a time; a text that is not long is a single one.

        Raises:
            TextError: one is too long; ``position`` is the text's.
        """
        spans = self._seams.pieces(text, backwards=backwards) if len(text) > _LONG else iter([(0, len(text))])
        for group in _groups(spans):
            check()
            start, end = group[0]
            if end - start > MOST_WITHOUT_SEAM:
                raise TextError(
                    f"text {position} has more than {MOST_WITHOUT_SEAM:,} characters in a row that the tokenizer must "
                    f"see at once, such as a very long word; they lie between the characters {start:,} and {end:,}. "
                    f"Split the text, or leave them out."
                )
            encodings = self._encode([text[start:end] for start, end in group], specials=False, offsets=offsets)
            for (start, end), encoding in zip(group, encodings, strict=True):
                yield _Piece(start, end, encoding)

    def _encode(self, texts: list[str], *, specials: bool = True, offsets: bool = False) -> Sequence[Encoding]:
        """The encodings of texts.

        A single short one is spared the library's threads, which would linger on its core. But that way Python's other
        threads wait for the library, and a long text would stop a server for seconds.
        """
        with guarded(self._name):
            if len(texts) > 1 or len(texts[0]) > _SHORT:
                batch = self._backend.encode_batch if offsets else self._backend.encode_batch_fast
                try:
                    return batch(texts, add_special_tokens=specials)
                except BaseException as error:
                    if not is_panic(error) or "thread pool" not in str(error):
                        raise
                    logger.warning("The tokenizers library cannot start threads, so that texts are cut one by one.")
            return [self._backend.encode(text, add_special_tokens=specials) for text in texts]

    def _offsets(self, piece: _Piece) -> Int64:
        """The characters of a piece's tokens, in the whole text: ``int64[T, 2]``."""
        offsets = np.array(piece.encoding.offsets, dtype=np.int64).reshape(-1, 2)
        if piece.start and self._trims and len(offsets) and piece.encoding.tokens[0].startswith("Ġ"):
            # Such a post-processor takes the first space of what it is given for one that was put before it.
            offsets[0] = max(1, offsets[0, 0]), max(1, offsets[0, 1])
        return offsets + piece.start

    def _tokens(self, piece: _Piece) -> Iterator[Token]:
        encoding, before = piece.encoding, None
        columns = (encoding.ids, encoding.tokens, self._offsets(piece).tolist(), encoding.word_ids)
        for number, spelled, (start, end), word in zip(*columns, strict=True):
            kind: Literal["unknown", "text"] = "unknown" if number == self._unknown else "text"
            yield Token(number, spelled, start, end, kind, word is not None and word == before)
            before = word

    def _with_specials(self, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        nothing = self._encode([""])[0]
        added = tuple(Token(*each, 0, 0, "special", False) for each in zip(nothing.ids, nothing.tokens, strict=True))
        return added[: len(self._before)] + tokens + added[len(self._before) :]

    def _normalized(self, text: str) -> str:
        normalizer = self._backend.normalizer
        with guarded(self._name):
            normalized: str = text if normalizer is None else normalizer.normalize_str(text)
        return normalized

    def _template(self, specials: list[int]) -> tuple[Int32, Int32]:
        """The special tokens that stand before a text, and those after it.

        Raises:
            UnsupportedModelError: the template does not give a text's tokens once, in one piece.
            InvalidModelError: no text has tokens.
        """
        some = itertools.islice(self._backend.get_vocab(with_added_tokens=False), _PROBES)
        failure = None
        for probe in ("a", "the", *some):
            try:
                encoded, plain = (list(self._encode([probe], specials=each)[0].ids) for each in (True, False))
            except InvalidModelError as error:  # It has no token for unknown words, which other texts may not need.
                failure = error
                continue
            if not plain or set(plain) & set(specials):
                continue
            for place in range(len(specials) + 1):
                if encoded == [*specials[:place], *plain, *specials[place:]]:
                    return np.array(specials[:place], dtype=np.int32), np.array(specials[place:], dtype=np.int32)
            raise UnsupportedModelError(
                f"{self._name}: the tokenizer's post_processor does not give a text's tokens once, with special tokens "
                f"before and after them. Pellucid knows no other templates."
            )
        raise failure or InvalidModelError(f"{self._name}: the tokenizer makes tokens of no text that was tried.")

    def _found_seams(self) -> Seams:
        backend = self._backend
        with guarded(self._name):
            added = [AddedToken(t.content, t.normalized, t.rstrip) for t in backend.get_added_tokens_decoder().values()]
            parts = state(backend.normalizer), state(backend.pre_tokenizer)
            return seams_of(*parts, added, None if parts[0] is None else self._normalized)


def _groups(spans: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The spans, as many at a time as have ``_LONG`` characters, or one that is longer."""
    group: list[tuple[int, int]] = []
    for start, end in spans:
        if group and end - start + sum(b - a for a, b in group) > _LONG:
            yield group
            group = []
        group.append((start, end))
    yield group


def _parts(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts, as many at a time as one call of the library may have, or one that is long."""
    part: list[str] = []
    characters = 0
    for text in texts:
        full = len(part) == _TEXTS_PER_CALL or characters + len(text) > _CHARACTERS_PER_CALL
        if part and (full or len(text) > _LONG or len(part[0]) > _LONG):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part


def _unknown_id(backend: Backend) -> int | None:
    """The id of what the vocabulary does not have; None for a tokenizer that can spell anything."""
    model: Any = backend.model
    token = getattr(model, "unk_token", None)
    return getattr(model, "unk_id", None) if token is None else backend.token_to_id(token)


def _trims_first_space(part: dict[str, Any] | None) -> bool:
    """Whether a post-processor changes the characters of a first token that begins with a space."""
    if part is None:
        return False
    if part["type"] == "Sequence":
        return any(map(_trims_first_space, part["processors"]))
    return part["type"] in ("RobertaProcessing", "ByteLevel") and part["trim_offsets"] and part["add_prefix_space"]
