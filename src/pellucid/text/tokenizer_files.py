"""Loads the tokenizer of a model with the ``tokenizers`` library, and guards against that library's failures.

A broken file shows itself in three ways: as a plain ``Exception`` of the library; as a ``PanicException``, which is not
an ``Exception`` and means that Rust code met something it did not expect; or, at worst, by ending the process.
:func:`translate_errors` turns the first two into our errors. :func:`_check_charsmap` prevents the third.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pellucid.errors import InvalidModelError, PellucidError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.spec import TokenizerSpec
from pellucid.sources.files import ModelFiles
from pellucid.text.decoder_tokenizers import rebuild_decoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


TEMPLATE_RULE = "the template must contain the text exactly once, with special tokens only before and after it"
_MAX_GROWTH = 64
"""How many characters a normalizer may make of one. In Unicode itself, the largest number is 18 (U+FDFA under NFKC)."""


class translate_errors:  # noqa: N801  It is used like contextlib's functions, but takes a third of their time.
    """Turn whatever the library raises into our error. Put this around every call of the library.

    Raises:
        InvalidModelError: the tokenizer's files are broken, or lack something that they refer to, such as a token for
            unknown words. The message of a panic is left out, because it may quote a text.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        """Nothing is to be done yet."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Raise our error instead of the library's."""
        if error is None or isinstance(error, PellucidError):
            return
        message = f"{self._name}: the tokenizer's files are broken: "
        if isinstance(error, Exception):  # The library raises plain Exception for everything that is wrong with them.
            raise InvalidModelError(f"{message}{error}") from error
        if is_panic(error):
            is_slow = "retry-limit" in str(error)
            reason = "a regular expression takes too long" if is_slow else "the tokenizers library gave up on them"
            raise InvalidModelError(f"{message}{reason}.") from None


def is_panic(error: BaseException) -> bool:
    """True if Rust code gave up. The class of these errors cannot be imported, so it is known by its name."""
    return type(error).__name__ == "PanicException"


def part_json(part: Any) -> dict[str, Any] | None:
    """A part of a tokenizer as ``tokenizer.json`` describes it; None if the tokenizer has no such part."""
    description: dict[str, Any] | None = None if part is None else json.loads(part.__getstate__())
    return description


def load(files: ModelFiles, spec: TokenizerSpec, family: str) -> Backend:
    """Load the tokenizer of a model.

    Raises:
        InvalidModelError: the files are broken.
        UnsupportedModelError: the library cannot read any of the files, the normalizer makes too many characters of
            one, or the template does not contain the text exactly once.
    """
    from tokenizers import normalizers

    prefix = f"{spec.folder}/" if spec.folder else ""
    has_json = files.has(f"{prefix}tokenizer.json")
    with translate_errors(files.name):
        if spec.rules != "transformers":
            backend: Backend = _read_alone(files, f"{prefix}tokenizer.json")
        else:
            backend = _read(files, prefix, family) if has_json else _build(files, prefix)
        backend.no_truncation()
        backend.no_padding()
        if getattr(backend.model, "dropout", None):
            # Dropout is for training: it cuts words at random (Provilkov et al., "BPE-Dropout", 2020).
            backend.model.dropout = None
        _keep_whole(backend, spec.markers)
        if spec.lowercase:
            steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
            backend.normalizer = normalizers.Sequence(steps)
        if (growth := _growth(part_json(backend.normalizer))) > _MAX_GROWTH:
            raise UnsupportedModelError(
                f"{files.name}: the tokenizer's normalizer can make {growth:,} characters of one, so short texts could "
                f"fill the memory. Pellucid accepts at most {_MAX_GROWTH}."
            )
        if not _gives_text_once(part_json(backend.post_processor)):
            raise UnsupportedModelError(
                f'{files.name}: the tokenizer\'s post_processor has a template "single" that is not supported: '
                f"{TEMPLATE_RULE}."
            )
    return backend


def _keep_whole(backend: Backend, markers: Sequence[str]) -> None:
    """Make tokens special, so that they are found in a text as a whole, before it is normalized.

    A marker may be a token with the space that follows it. A marker that is not in the vocabulary is left alone: it is
    ordinary text. sentence-transformers does the same.
    """
    from tokenizers import AddedToken

    for marker in markers:
        token = next(
            (part for part in (marker, *marker.split(None, 1)[:1]) if backend.token_to_id(part) is not None), ""
        )
        if token and backend.encode(token, add_special_tokens=False).tokens != [token]:
            backend.add_special_tokens([AddedToken(token, normalized=False, special=True)])


def _gives_text_once(part: Mapping[str, Any] | None) -> bool:
    """True if a post-processor gives the tokens of a text exactly once."""
    if part is None:
        return True
    if part["type"] == "Sequence":
        return all(map(_gives_text_once, part["processors"]))
    if part["type"] != "TemplateProcessing":
        return True
    return [piece["Sequence"]["id"] for piece in part["single"] if "Sequence" in piece] == ["A"]


def _growth(step: Mapping[str, Any] | None) -> int:
    """How many characters a normalizer can make of one."""
    kind = None if step is None else step["type"]
    if step is None or kind not in ("Sequence", "Replace", "Prepend", "Precompiled"):
        return 1
    if kind == "Sequence":
        return math.prod(map(_growth, step["normalizers"]))
    if kind == "Precompiled":
        charsmap = base64.b64decode(step["precompiled_charsmap"])
        replacements = charsmap[4 + int.from_bytes(charsmap[:4], "little") :].split(b"\0")
        return max(len(replacement.decode(errors="replace")) for replacement in replacements)
    if kind == "Prepend":
        return 1 + len(step["prepend"])
    string = step["pattern"].get("String")
    if string or step["pattern"].get("Regex") == " {2,}":
        return max(1, -(-len(step["content"]) // len(string or "  ")))
    return 1 + len(step["content"])  # Any other pattern may match the empty string before each character.


def _check_charsmap(data: bytes, where: str) -> None:
    """Refuse a charsmap that claims to be longer than it is.

    The library would allocate as much memory as it claims, and end the process if there is not that much.

    Parsing a whole file of 17 MB takes long. So this searches for the key alone, unless the file writes letters as
    escapes, which no program that writes such files does.

    Raises:
        InvalidModelError: the charsmap is not base64, or claims to be longer than it is.
    """
    if re.search(rb"\\u00[4-7]", data):
        charsmaps = _charsmaps(json.loads(data))
    else:
        matches = re.finditer(rb'"precompiled_charsmap"\s*:\s*"([^"]*)"', data)
        charsmaps = iter([match[1].replace(b"\\/", b"/").decode("ascii", "replace") for match in matches])
    for encoded in charsmaps:
        try:
            charsmap = base64.b64decode(encoded)
        except (binascii.Error, ValueError) as error:
            raise InvalidModelError(f"{where}: precompiled_charsmap is not base64: {error}.") from error
        claimed = int.from_bytes(charsmap[:4], "little")
        if claimed > len(charsmap) - 4:
            raise InvalidModelError(
                f"{where}: precompiled_charsmap has {len(charsmap):,} bytes, but claims that {claimed:,} follow its "
                f"first 4."
            )


def _charsmaps(value: Any) -> Iterator[str]:
    """All charsmaps in parsed JSON, at any depth."""
    if isinstance(value, dict):
        if isinstance(charsmap := value.get("precompiled_charsmap"), str):
            yield charsmap
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _charsmaps(child)


_CLASSES = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "BertTokenizer",
    "mpnet": "MPNetTokenizer",
    "nomic_bert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "t5": "T5Tokenizer",
}
"""The tokenizer class in transformers for each family, if tokenizer_config.json does not name one."""


def _read_alone(files: ModelFiles, name: str) -> Backend:
    """Read the tokenizer of a static model: tokenizer.json as it is, but for the special tokens."""
    from tokenizers import Tokenizer as Backend

    data = files.read(name)
    _check_charsmap(data, f"{files.name}: {name}")
    backend: Backend = Backend.from_buffer(data)
    backend.post_processor = None
    return backend


def _read(files: ModelFiles, prefix: str, family: str) -> Backend:
    """Read the tokenizer in ``tokenizer.json``.

    As in transformers' own classes, some things come from ``tokenizer_config.json`` instead: how BERT's normalizer
    changes letters, whether RoBERTa puts a space before a text, and how ALBERT and DeBERTa do both. If it does not say,
    the class's default counts. T5's class has no such settings, and always does the same.
    :mod:`pellucid.text.decoder_tokenizers` does this for decoders.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, normalizers, pre_tokenizers

    data = files.read(f"{prefix}tokenizer.json")
    _check_charsmap(data, f"{files.name}: {prefix}tokenizer.json")
    backend: Backend = Backend.from_buffer(data)
    config = Config.read_if_present(files, f"{prefix}tokenizer_config.json")
    name = config.string("tokenizer_class", _CLASSES.get(family, "")).removesuffix("Fast")
    name = "BertTokenizer" if name == "ElectraTokenizer" else name  # They are the same class.
    if isinstance(backend.normalizer, normalizers.BertNormalizer) and name in _CLASSES.values():
        backend.normalizer = _bert_normalizer(config)
    if isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel) and name == _CLASSES["roberta"]:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=config.flag("add_prefix_space", False))
    if isinstance(backend.model, models.Unigram) and name == _CLASSES["deberta-v2"]:
        _rebuild_deberta(backend, config)
    if isinstance(backend.model, models.Unigram) and name == _CLASSES["albert"]:
        _rebuild_albert(backend, config)
    if isinstance(backend.model, models.Unigram) and name == _CLASSES["t5"]:
        _rebuild_t5(backend)
    rebuild_decoder(backend, config, family, has_bytes=b'"ByteLevel"' in data)
    return backend


def _rebuild_deberta(backend: Backend, config: Config) -> None:
    """Give a tokenizer the normalizer and the pre-tokenizer of ``DebertaV2Tokenizer`` in transformers 5.

    Files that older versions wrote have other ones, which the class ignores.
    """
    from tokenizers import Regex, normalizers, pre_tokenizers

    backend.normalizer = normalizers.Sequence(
        [
            *([normalizers.Lowercase()] if config.flag("do_lower_case", False) else []),
            normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
            normalizers.NFC(),
            normalizers.Strip(left=False, right=True),
        ]
    )
    scheme = "always" if config.flag("add_prefix_space", True) else "first"
    marks = [pre_tokenizers.Punctuation("isolated")] if config.flag("split_by_punct", False) else []
    backend.pre_tokenizer = pre_tokenizers.Sequence([*marks, pre_tokenizers.Metaspace("▁", scheme)])


def _rebuild_albert(backend: Backend, config: Config) -> None:
    """Do the same for ``AlbertTokenizer``. It keeps the charsmap of the file."""
    from tokenizers import normalizers, pre_tokenizers

    charsmap = next(_charsmaps(part_json(backend.normalizer)), None)
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not config.flag("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if config.flag("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    if charsmap is not None:
        steps.append(normalizers.Precompiled(base64.b64decode(charsmap)))
    backend.normalizer = normalizers.Sequence(steps)
    scheme = "always" if config.flag("add_prefix_space", True) else "never"
    cutters = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", scheme)]
    backend.pre_tokenizer = pre_tokenizers.Sequence(cutters)


def _rebuild_t5(backend: Backend) -> None:
    """Do the same for ``T5Tokenizer``. It keeps the charsmap of the file, and always puts ``</s>`` after a text."""
    from tokenizers import normalizers, pre_tokenizers, processors

    charsmap = next(_charsmaps(part_json(backend.normalizer)), None)
    backend.normalizer = None if charsmap is None else normalizers.Precompiled(base64.b64decode(charsmap))
    cutters = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("▁", "always")]
    backend.pre_tokenizer = pre_tokenizers.Sequence(cutters)
    end = backend.token_to_id("</s>")
    if end is not None:
        backend.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", end)])


def _bert_normalizer(config: Config) -> Any:
    from tokenizers import normalizers

    return normalizers.BertNormalizer(
        handle_chinese_chars=config.flag("tokenize_chinese_chars", True),
        # None is not the same as False: it means that accents are stripped if letters are lower-cased.
        strip_accents=None if config.values.get("strip_accents") is None else config.flag("strip_accents"),
        lowercase=config.flag("do_lower_case", True),
    )


def _build(files: ModelFiles, prefix: str) -> Backend:
    """Build the tokenizer of a model that is older than ``tokenizer.json``, as transformers does.

    It is WordPiece from ``vocab.txt``, or byte-level BPE from ``vocab.json`` and ``merges.txt``.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import models, pre_tokenizers, processors

    config = Config.read_if_present(files, f"{prefix}tokenizer_config.json")
    if files.has(f"{prefix}vocab.txt"):
        vocabulary = models.WordPiece.read_file(str(files.readable(f"{prefix}vocab.txt")))
        specials = _special_tokens(config, vocabulary)
        backend = Backend(models.WordPiece(vocabulary, unk_token=specials["unk"]))
        backend.normalizer = _bert_normalizer(config)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif files.has(f"{prefix}merges.txt"):
        paths = (str(files.readable(prefix + name)) for name in ("vocab.json", "merges.txt"))
        vocabulary, pairs = models.BPE.read_file(*paths)
        specials = _special_tokens(config, vocabulary)
        backend = Backend(models.BPE(vocabulary, pairs))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=config.flag("add_prefix_space", False))
    else:
        raise UnsupportedModelError(
            f"{files.name}: there is no {prefix}tokenizer.json, nor a vocab.txt or merges.txt to build one from. If "
            f"the model has another tokenizer file, convert it on a machine with transformers: "
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
    """The special token of each kind: the one that tokenizer_config.json names, or a usual one.

    Only tokens in the vocabulary count.

    Raises:
        InvalidModelError: the vocabulary has no cls, sep or unk token.
    """
    found: dict[str, str] = {}
    for kind, usual in _SPECIAL_TOKENS.items():
        named = config.values.get(f"{kind}_token")
        named = named.get("content") if isinstance(named, dict) else named
        if available := [token for token in (named, *usual) if isinstance(token, str) and token in vocabulary]:
            found[kind] = available[0]
    if missing := [kind for kind in ("cls", "sep", "unk") if kind not in found]:
        raise InvalidModelError(f"{config.where}: the vocabulary has no {missing[0]}_token.")
    return found
