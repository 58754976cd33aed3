"""The ``tokenizers`` library, with a model's tokenizer loaded in it: how we call it, and what we ask.

Only this file and ``tokenizer_files.py`` use the library.
"""

from __future__ import annotations

import itertools
import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.model.spec import TokenizerSpec
from pellucid.sources.files import ModelFiles
from pellucid.text.seams import LONG_TEXT_CHARACTERS, AddedToken, Json
from pellucid.text.tokenizer_files import is_panic, load, part_json, translate_errors
from pellucid.types import Int32, TokenBatch

if TYPE_CHECKING:
    from tokenizers import Encoding

logger = logging.getLogger("pellucid")
# The library holds a few hundred bytes for each token until a call ends, and ignores Ctrl-C meanwhile. So a call is
# limited to this many texts and this many characters.
_TEXTS_PER_CALL = 512
_CHARACTERS_PER_CALL = 250_000
_MAX_BLOCKING_CHARACTERS = 10_000
"""The longest text that the library may cut while Python's other threads wait, which takes about 20 ms."""
_WORDS_PER_LIST = 512  # How many words the library may have in one list. Longer lists would keep other cores idle.
_LISTS_PER_CALL = 64
_PROBE_WORDS = 5  # How many words of the vocabulary to try, to find out where the special tokens go.


class Library:
    """A tokenizer of the ``tokenizers`` library.

    Attributes:
        name: the model's name, for messages.
        unknown: the id of the unknown token; None for a tokenizer that can spell any text.

    Raises:
        InvalidModelError: the tokenizer's files are broken. Every method raises it too.
        UnsupportedModelError: the library cannot read any of the files.
    """

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, family: str) -> None:
        self.name = files.name
        self._backend = load(files, spec, family)
        model: Any = self._backend.model
        token = getattr(model, "unk_token", None)
        self.unknown: int | None = getattr(model, "unk_id", None) if token is None else self.token_id(token)

    def encode(
        self, texts: Sequence[str] | Sequence[list[str]], *, specials: bool = False, offsets: bool = False
    ) -> Sequence[Encoding]:
        """Tokenize texts, or lists of words, each of which is tokenized by itself.

        A single short text is encoded without the library's threads, because they would linger on the core. But then
        Python's other threads wait for the library, so a long text would stop a server for seconds.

        Args:
            texts: what :func:`split_into_parts` allows for one call.
            specials: add the special tokens.
            offsets: find out the characters of each token, which takes longer.
        """
        are_words = not isinstance(texts[0], str)
        size = sum(map(len, texts[0])) if are_words else len(texts[0])
        options = {"is_pretokenized": are_words, "add_special_tokens": specials}
        with translate_errors(self.name):
            if len(texts) > 1 or size > _MAX_BLOCKING_CHARACTERS:
                batch = self._backend.encode_batch if offsets or are_words else self._backend.encode_batch_fast
                try:
                    return batch(texts, **options)
                except BaseException as error:
                    if not is_panic(error) or "thread pool" not in str(error):
                        raise
                    logger.warning("The tokenizers library cannot start threads, so texts are tokenized one by one.")
            return [self._backend.encode(text, **options) for text in texts]

    def encode_pair(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Tokenize a pair of texts, with special tokens: the ids, and the segment of each."""
        with translate_errors(self.name):
            pair = self._backend.encode(first, second)
        return pair.ids, pair.type_ids

    def ids(self, texts: list[str]) -> TokenBatch:
        """The ids of texts that one call of the library may have, without special tokens."""
        encodings = self.encode(texts)
        offsets = np.array([0, *itertools.accumulate(map(len, encodings))], dtype=np.int32)
        return TokenBatch(_ids_of(encodings), offsets)

    def ids_of_one(self, text: str) -> list[int]:
        """The ids of one text, without special tokens."""
        if len(text) > _MAX_BLOCKING_CHARACTERS:
            return self.encode([text])[0].ids
        with translate_errors(self.name):
            ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def ids_of_words(self, words: list[str]) -> tuple[Int32, Int32]:
        """How many ids each word has, ``int32[n]``, and the ids of all, in order. Each word is tokenized by itself."""
        lists = [words[start : start + _WORDS_PER_LIST] for start in range(0, len(words), _WORDS_PER_LIST)]
        counts, ids = [], []
        for start in range(0, len(lists), _LISTS_PER_CALL):
            part = lists[start : start + _LISTS_PER_CALL]
            encodings = self.encode(part)
            ids.append(_ids_of(encodings))
            counts += [
                np.bincount(np.array(encoding.word_ids, dtype=np.int32), minlength=len(some))
                for some, encoding in zip(part, encodings, strict=True)
            ]
        return np.concatenate(counts).astype(np.int32), np.concatenate(ids)

    def ids_of_texts(self, texts: list[str]) -> tuple[Int32, Int32]:
        """The same for any number of texts that are longer than a word."""
        batch = TokenBatch.join([self.ids(part) for _, part in split_into_parts(texts)])
        return batch.lengths, batch.ids

    def decode(self, ids: Sequence[int], *, skip_special: bool) -> str:
        """The text that token ids stand for."""
        with translate_errors(self.name):
            text: str = self._backend.decode(list(ids), skip_special_tokens=skip_special)
        return text

    def piece(self, token_id: int) -> str | None:
        """The spelling of a token; None for an id without a token."""
        piece: str | None = self._backend.id_to_token(token_id)
        return piece

    def token_id(self, piece: str) -> int | None:
        """The id of the token with this spelling; None if the vocabulary has none."""
        token_id: int | None = self._backend.token_to_id(piece)
        return token_id

    @property
    def vocabulary(self) -> dict[str, int]:
        """The id of each spelling, those of added tokens included."""
        vocabulary: dict[str, int] = self._backend.get_vocab(with_added_tokens=True)
        return vocabulary

    @property
    def size(self) -> int:
        """The number of tokens, added ones included."""
        size: int = self._backend.get_vocab_size(with_added_tokens=True)
        return size

    def normalize(self, text: str) -> str:
        """The text after the normalizer, which lower-cases, strips accents and the like."""
        normalizer = self._backend.normalizer
        with translate_errors(self.name):
            normalized: str = text if normalizer is None else normalizer.normalize_str(text)
        return normalized

    def cut(self, text: str) -> list[str]:
        """The pieces that the normalizer and the pre-tokenizer, which there must be, make of a text."""
        normalized = self.normalize(text)
        with translate_errors(self.name):
            return [piece for piece, _ in self._backend.pre_tokenizer.pre_tokenize_str(normalized)]

    @property
    def normalizer(self) -> Json | None:
        """The normalizer, as ``tokenizer.json`` describes it."""
        return part_json(self._backend.normalizer)

    @property
    def pre_tokenizer(self) -> Json | None:
        """The pre-tokenizer, as ``tokenizer.json`` describes it."""
        return part_json(self._backend.pre_tokenizer)

    @property
    def post_processor(self) -> Json | None:
        """The post-processor, as ``tokenizer.json`` describes it."""
        return part_json(self._backend.post_processor)

    @property
    def added_tokens(self) -> list[AddedToken]:
        """The added tokens, such as ``[MASK]``."""
        with translate_errors(self.name):
            tokens = self._backend.get_added_tokens_decoder().values()
            return [AddedToken(token.content, token.normalized, token.rstrip) for token in tokens]

    def probe_words(self) -> Iterator[str]:
        """A few words that nearly every model has tokens for."""
        yield from ("a", "the")
        # Nearly every model has tokens for one of those. Reading the vocabulary would make each start 10 ms slower.
        yield from itertools.islice(self._backend.get_vocab(with_added_tokens=False), _PROBE_WORDS)


def _ids_of(encodings: Sequence[Encoding]) -> Int32:
    """The ids of encodings, one after another. The library has no other way out than a list for each encoding."""
    ids = array("i")
    for encoding in encodings:
        ids.fromlist(encoding.ids)
    return np.array(ids, dtype=np.int32)


def split_into_parts(
    texts: Iterable[str], most_texts: int = _TEXTS_PER_CALL, most_characters: int = _CHARACTERS_PER_CALL
) -> Iterator[tuple[int, list[str]]]:
    """Group texts, so that a group is what one call of the library may have, or is a single long text.

    Args:
        texts: the texts.
        most_texts: the most texts of a group.
        most_characters: the most characters of a group, unless it is a single text.

    Yields:
        The number of the first text of a group, and the group.
    """
    first, waiting = 0, iter(texts)
    while group := list(itertools.islice(waiting, most_texts)):
        lengths = list(map(len, group))
        if sum(lengths) <= most_characters and max(lengths) <= LONG_TEXT_CHARACTERS:  # The usual case.
            yield first, group
            first += len(group)
            continue
        part: list[str] = []
        characters = 0
        for text, length in zip(group, lengths, strict=True):
            is_full = characters + length > most_characters
            if part and (is_full or max(length, len(part[0])) > LONG_TEXT_CHARACTERS):
                yield first, part
                first += len(part)
                part, characters = [], 0
            part.append(text)
            characters += length
        yield first, part
        first += len(part)
