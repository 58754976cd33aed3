"""Text to token ids: the ``tokenizers`` library, which is imported here and nowhere else, behind our rules.

The library does the cutting. The rules that decide the numbers are here: a prompt is put before the text; special
tokens are added as the model's template says; a longer text loses its end, never its special tokens; and what
``tokenizer.json`` says of truncation and padding is put aside (that of all-MiniLM-L6-v2 carries a training run's 128).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pellucid.errors import InvalidModelError, PellucidError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.spec import EncoderSpec, TokenizerSpec
from pellucid.sources.files import ModelFiles
from pellucid.texts import check_texts, check_utf8
from pellucid.types import Int32, Int64, Token, TokenBatch, TokenizedText

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

_TEXTS_PER_CALL = 512
_CHARACTERS_PER_CALL = 500_000
"""The library holds some hundred bytes a token until a call ends, and hears no Ctrl-C meanwhile; these bound both."""


class Tokenizer:
    """Cuts texts into tokens as a model was trained with.

    Args:
        files, spec: the model's.
        encoder: its shape, for the range of the ids.

    Raises:
        InvalidModelError: the tokenizer's files are broken, or have ids beyond the encoder's vocabulary.
        UnsupportedModelError: there are none that the ``tokenizers`` library can read.
    """

    def __init__(self, files: ModelFiles, spec: TokenizerSpec, encoder: EncoderSpec) -> None:
        self.spec = spec
        self._name = files.name
        self._backend = _load(files, spec, encoder.family)
        self._specials = self._backend.num_special_tokens_to_add(False)
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
        if spec.max_tokens <= self._specials:
            raise InvalidModelError(
                f"{files.name}: max_seq_length {spec.max_tokens} leaves no room beside {self._specials} special tokens."
            )

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
            The tokens, and ``int32[B]``: how many each text had before it was truncated.

        Raises:
            TextTypeError, TextError: a value is not a text, or not one that UTF-8 can write.
        """
        check_texts(texts, first=first)
        check_utf8(prompt, "the prompt")
        sequences: list[Int32] = []
        counts: list[int] = []
        for part in _parts([prompt + text for text in texts] if prompt else texts):
            check()
            for text, encoding in zip(part, self._encode(part), strict=True):
                counts.append(len(encoding))
                kept = encoding if len(encoding) <= self.spec.max_tokens else self._truncated(text)
                sequences.append(np.array(kept.ids, dtype=np.int32))
        return TokenBatch.from_sequences(sequences), np.array(counts, dtype=np.int32)

    def _encode(self, texts: list[str], *, specials: bool = True) -> Sequence[Encoding]:
        """The encodings of texts. A single one is spared the library's threads, which would linger on its core.

        Raises:
            InvalidModelError: the files promise what they have not, such as a token for unknown words.
        """
        try:
            if len(texts) == 1:
                return [self._backend.encode(texts[0], add_special_tokens=specials)]
            return self._backend.encode_batch_fast(texts, add_special_tokens=specials)
        except Exception as error:  # The library raises plain Exception for whatever is wrong with its files.
            raise InvalidModelError(f"{self._name}: the tokenizer's files are not sound: {error}") from error

    def prompt_tokens(self, prompt: str) -> int:
        """How many tokens at the start of a text are the prompt's, with the special tokens before it.

        As sentence-transformers counts them: the prompt alone, less the special token that closes it.
        """
        if not prompt:
            return 0
        encoding: Any = self._encode([prompt])[0]
        return len(encoding) - (1 if self._specials and encoding.special_tokens_mask[-1] else 0)

    def characters(self, text: str) -> tuple[Int64, Int64]:
        """From which characters of a text each token was made: the first, and the one after the last.

        Returns:
            Both ``int64[T]``, without special tokens and without truncation.

        Raises:
            TextTypeError, TextError: as :meth:`tokenize`.
        """
        check_texts([text])
        offsets = np.array(self._encode([text], specials=False)[0].offsets, dtype=np.int64).reshape(-1, 2)
        return offsets[:, 0], offsets[:, 1]

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """What token ids spell, as far as they can: what the normalizer changed stays changed.

        Args:
            ids: of the vocabulary; one that has no token is passed over.
            skip_special: leave out the tokens that the model adds.
        """
        spelled: str = self._backend.decode(list(ids), skip_special_tokens=skip_special)
        return spelled

    def inspect(self, text: str, prompt: str = "") -> TokenizedText:
        """What :meth:`tokenize` does to one text, with every token's characters; the errors are the same."""
        check_texts([text])
        check_utf8(prompt, "the prompt")
        whole = self._encode([prompt + text])[0]
        kept = whole
        cut: tuple[Token, ...] = ()
        if len(whole) > self.spec.max_tokens:
            kept = self._truncated(prompt + text)
            plain = self._encode([prompt + text], specials=False)[0]
            room = self.spec.max_tokens - self._specials
            every = self._tokens(plain)
            cut = every[: len(every) - room] if self.spec.truncation_side == "left" else every[room:]
        normalizer = self._backend.normalizer
        normalized = prompt + text if normalizer is None else normalizer.normalize_str(prompt + text)
        return TokenizedText(normalized, self._tokens(kept), cut)

    def _tokens(self, encoding: Encoding) -> tuple[Token, ...]:
        columns = (encoding.ids, encoding.tokens, encoding.offsets, encoding.special_tokens_mask, encoding.word_ids)
        tokens: list[Token] = []
        before: int | None = None
        for number, piece, (start, end), special, word in zip(*columns, strict=True):
            kind: Literal["special", "unknown", "text"] = "text"
            if special:
                kind = "special"
            elif number == self._unknown:
                kind = "unknown"
            tokens.append(Token(number, piece, start, end, kind, word is not None and word == before))
            before = word
        return tuple(tokens)

    def _truncated(self, text: str) -> Encoding:
        """A text too long: its tokens are cut first, and the special tokens are added to what is left."""
        encoding = self._encode([text], specials=False)[0]
        encoding.truncate(self.spec.max_tokens - self._specials, direction=self.spec.truncation_side)
        return self._backend.post_process(encoding)


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, as many at a time as one call of the library may have, or one that is longer."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and (len(part) == _TEXTS_PER_CALL or characters + len(text) > _CHARACTERS_PER_CALL):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part


def _load(files: ModelFiles, spec: TokenizerSpec, family: str) -> Backend:
    from tokenizers import normalizers

    prefix = f"{spec.folder}/" if spec.folder else ""
    path = files.path(f"{prefix}tokenizer.json")
    try:
        backend: Backend = _read(files, prefix, family) if path.is_file() else _build(files, prefix)
    except PellucidError:
        raise
    except Exception as error:  # The library raises plain Exception for whatever is wrong with a file.
        raise InvalidModelError(f"{files.name}: the files of the tokenizer are not sound: {error}") from error
    backend.no_truncation()
    backend.no_padding()
    if getattr(backend.model, "dropout", None):
        backend.model.dropout = None  # Of training (Provilkov et al., "BPE-Dropout", 2020): it cuts at random.
    if spec.lowercase:
        steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
        backend.normalizer = normalizers.Sequence(steps)
    return backend


_CLASSES = {
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "mpnet": "MPNetTokenizer",
    "nomic_bert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
}
"""Which of transformers' classes cuts the texts of a family, if tokenizer_config.json names none."""


def _read(files: ModelFiles, prefix: str, family: str) -> Backend:
    """The tokenizer of ``tokenizer.json``. What transformers' own classes take from ``tokenizer_config.json``, which
    letters are changed and what a text begins with, goes before it; what is not said there has the class's default.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import normalizers, pre_tokenizers

    backend: Backend = Backend.from_file(str(files.path(f"{prefix}tokenizer.json")))
    config = Config.read_if_there(files, f"{prefix}tokenizer_config.json")
    name = config.string("tokenizer_class", _CLASSES.get(family, "")).removesuffix("Fast")
    if isinstance(backend.normalizer, normalizers.BertNormalizer) and name in _CLASSES.values():
        backend.normalizer = _bert_normalizer(config)
    if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel) and name == _CLASSES["roberta"]:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=config.flag("add_prefix_space", False))
    return backend


def _bert_normalizer(config: Config) -> Any:
    from tokenizers import normalizers

    return normalizers.BertNormalizer(
        handle_chinese_chars=config.flag("tokenize_chinese_chars", True),
        # None, for "where letters are lowered", is not the same as false.
        strip_accents=None if config.values.get("strip_accents") is None else config.flag("strip_accents"),
        lowercase=config.flag("do_lower_case", True),
    )


def _build(files: ModelFiles, prefix: str) -> Backend:
    """The tokenizer of a model from the time before ``tokenizer.json``, as transformers builds it: WordPiece from
    ``vocab.txt``, or byte-level BPE from ``vocab.json`` and ``merges.txt``.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, processors

    config = Config.read_if_there(files, f"{prefix}tokenizer_config.json")
    words, merges = files.path(f"{prefix}vocab.txt"), files.path(f"{prefix}merges.txt")
    if words.is_file():
        vocabulary = models.WordPiece.read_file(str(words))
        specials = _special_tokens(config, vocabulary)
        backend = Backend(models.WordPiece(vocabulary, unk_token=specials["unk"]))
        backend.normalizer = _bert_normalizer(config)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif merges.is_file():
        vocabulary, pairs = models.BPE.read_file(str(files.path(f"{prefix}vocab.json")), str(merges))
        specials = _special_tokens(config, vocabulary)
        backend = Backend(models.BPE(vocabulary, pairs))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=config.flag("add_prefix_space", False))
    else:
        raise UnsupportedModelError(
            f"{files.name}: no {prefix}tokenizer.json, nor a vocab.txt or merges.txt to build one from. If the model "
            f"has another tokenizer file, write one where transformers is installed: "
            f"AutoTokenizer.from_pretrained({files.name!r}).save_pretrained('folder')."
        )
    ends = [(specials[kind], vocabulary[specials[kind]]) for kind in ("cls", "sep")]
    backend.post_processor = processors.TemplateProcessing(f"{specials['cls']} $A {specials['sep']}", None, ends)
    backend.add_special_tokens(list(specials.values()))
    return backend


_SPECIAL_TOKENS = {
    "cls": ("[CLS]", "<s>"),
    "sep": ("[SEP]", "</s>"),
    "unk": ("[UNK]", "<unk>"),
    "pad": ("[PAD]", "<pad>"),
    "mask": ("[MASK]", "<mask>"),
}


def _special_tokens(config: Config, vocabulary: Mapping[str, int]) -> dict[str, str]:
    """By kind, the special tokens that tokenizer_config.json names, or the usual ones, that the vocabulary has."""
    found: dict[str, str] = {}
    for kind, usual in _SPECIAL_TOKENS.items():
        named = config.values.get(f"{kind}_token")
        named = named.get("content") if isinstance(named, dict) else named
        if there := [token for token in (named, *usual) if isinstance(token, str) and token in vocabulary]:
            found[kind] = there[0]
    if missing := [kind for kind in ("cls", "sep", "unk") if kind not in found]:
        raise InvalidModelError(f"{config.where}: the vocabulary has no {missing[0]}_token.")
    return found


def _unknown_id(backend: Backend) -> int | None:
    """The id of what the vocabulary does not have; None for a tokenizer that can spell anything."""
    model: Any = backend.model
    token = getattr(model, "unk_token", None)
    return getattr(model, "unk_id", None) if token is None else backend.token_to_id(token)
