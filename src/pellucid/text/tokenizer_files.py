"""The tokenizer of a model's files, as the ``tokenizers`` library reads it, and the guard around that library.

What is wrong with a file reaches us in three ways: as the library's own plain ``Exception``; as ``PanicException``, by
which Rust says that the library itself did not expect it, and which is no ``Exception``; and, worst, by ending the
process. :func:`guarded` turns the first two into our error. The third is prevented: see :func:`_check_charsmap`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pellucid.errors import InvalidModelError, PellucidError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.spec import TokenizerSpec
from pellucid.sources.files import ModelFiles

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend


_MOST_GROWTH = 64
"""How many characters a normalizer may make of one. Unicode's own most is 18 (U+FDFA under NFKC)."""


@contextlib.contextmanager
def guarded(name: str) -> Iterator[None]:
    """Around each call of the library: whatever it raises becomes our error.

    Raises:
        InvalidModelError: the tokenizer's files are broken, or promise what they do not have, such as a token for
            unknown words. A panic's own words are left out, because they may quote a text.
    """
    try:
        yield
    except PellucidError:
        raise
    except Exception as error:  # The library raises plain Exception for whatever is wrong with its files.
        raise InvalidModelError(f"{name}: the tokenizer's files are not sound: {error}") from error
    except BaseException as error:
        if not is_panic(error):
            raise
        reason = "a regular expression takes too long" if "retry-limit" in str(error) else "its library gave up on them"
        raise InvalidModelError(f"{name}: the tokenizer's files are not sound: {reason}.") from None


def is_panic(error: BaseException) -> bool:
    """Whether Rust code gave up. The class of these errors cannot be imported."""
    return type(error).__name__ == "PanicException"


def state(part: Any) -> dict[str, Any] | None:
    """A part of a tokenizer as ``tokenizer.json`` describes it; None for none."""
    described: dict[str, Any] | None = None if part is None else json.loads(part.__getstate__())
    return described


def load(files: ModelFiles, spec: TokenizerSpec, family: str) -> Backend:
    """The tokenizer of a model's files.

    Raises:
        InvalidModelError: the files are broken.
        UnsupportedModelError: there are none that the library can read, or its normalizer multiplies characters.
    """
    from tokenizers import normalizers

    prefix = f"{spec.folder}/" if spec.folder else ""
    there = files.has(f"{prefix}tokenizer.json")
    with guarded(files.name):
        backend: Backend = _read(files, prefix, family) if there else _build(files, prefix)
        backend.no_truncation()
        backend.no_padding()
        if getattr(backend.model, "dropout", None):
            backend.model.dropout = None  # Of training (Provilkov et al., "BPE-Dropout", 2020): it cuts at random.
        if spec.lowercase:
            steps = [normalizers.Lowercase()] + ([backend.normalizer] if backend.normalizer is not None else [])
            backend.normalizer = normalizers.Sequence(steps)
        if (growth := _growth(state(backend.normalizer))) > _MOST_GROWTH:
            raise UnsupportedModelError(
                f"{files.name}: the tokenizer's normalizer can make {growth:,} characters of one, so that short texts "
                f"would fill the memory. Pellucid takes at most {_MOST_GROWTH}."
            )
        if not _gives_text_once(state(backend.post_processor)):
            raise UnsupportedModelError(
                f"{files.name}: the tokenizer's post_processor does not give a text's tokens once: its template "
                f'"single" must have the sequence A one time, and no other.'
            )
    return backend


def _gives_text_once(part: Mapping[str, Any] | None) -> bool:
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
        return max(len(each.decode(errors="replace")) for each in replacements)
    if kind == "Prepend":
        return 1 + len(step["prepend"])
    string = step["pattern"].get("String")
    if string or step["pattern"].get("Regex") == " {2,}":
        return max(1, -(-len(step["content"]) // len(string or "  ")))
    return 1 + len(step["content"])  # Any other pattern may match the nothing before each character.


def _check_charsmap(data: bytes, where: str) -> None:
    """Refuse a charsmap that says it is longer than it is: the library would take that much memory on trust, and end
    the process where there is not as much.

    Parsing all of a file of 17 MB takes long, so this looks for the key alone, unless the file spells letters as
    escapes, which no program that writes such files does.

    Raises:
        InvalidModelError: it does.
    """
    if re.search(rb"\\u00[4-7]", data):
        found = _charsmaps(json.loads(data))
    else:
        matches = re.finditer(rb'"precompiled_charsmap"\s*:\s*"([^"]*)"', data)
        found = iter([match[1].replace(b"\\/", b"/").decode("ascii", "replace") for match in matches])
    for encoded in found:
        try:
            charsmap = base64.b64decode(encoded)
        except (binascii.Error, ValueError) as error:
            raise InvalidModelError(f"{where}: precompiled_charsmap is not base64: {error}.") from error
        said = int.from_bytes(charsmap[:4], "little")
        if said > len(charsmap) - 4:
            raise InvalidModelError(
                f"{where}: precompiled_charsmap has {len(charsmap):,} bytes and says that {said:,} follow."
            )


def _charsmaps(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(found := value.get("precompiled_charsmap"), str):
            yield found
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _charsmaps(each)


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

    data = files.read(f"{prefix}tokenizer.json")
    _check_charsmap(data, f"{files.name}: {prefix}tokenizer.json")
    backend: Backend = Backend.from_buffer(data)
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
    if files.has(f"{prefix}vocab.txt"):
        vocabulary = models.WordPiece.read_file(str(files.readable(f"{prefix}vocab.txt")))
        specials = _special_tokens(config, vocabulary)
        backend = Backend(models.WordPiece(vocabulary, unk_token=specials["unk"]))
        backend.normalizer = _bert_normalizer(config)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    elif files.has(f"{prefix}merges.txt"):
        both = (str(files.readable(prefix + name)) for name in ("vocab.json", "merges.txt"))
        vocabulary, pairs = models.BPE.read_file(*both)
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
