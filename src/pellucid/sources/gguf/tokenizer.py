"""Make the tokenizer files of other models from what a GGUF file says about its tokenizer.

Two kinds are known: WordPiece, as BERT has it ("bert"), and byte-level BPE, as Qwen has it ("gpt2").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.sources.gguf.header import Header

_KEY = "tokenizer.ggml."
_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5
_WORD_START = "\u2581"  # llama.cpp marks where a word starts. BERT marks the other pieces, with ##.
_BERT_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PATTERNS = {
    "qwen2": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
        r"\s+(?!\S)|\s+"
    )
}
"""How a text is cut into words before byte-level BPE, by the name in ``tokenizer.ggml.pre``. This is Qwen2's and
Qwen3's, from their tokenizer.json."""

Json = dict[str, Any]


def make_tokenizer(header: Header) -> tuple[Json, Json]:
    """The contents of tokenizer.json and of tokenizer_config.json.

    Raises:
        InvalidModelError: the metadata lacks something, or contradicts itself.
        UnsupportedModelError: this kind of tokenizer is not supported.
    """
    tokens = header.get(f"{_KEY}tokens", list)
    if not tokens or not all(isinstance(token, str) for token in tokens):
        raise InvalidModelError(f"{header.where}: {_KEY}tokens must be a list of strings.")
    kind = header.get(f"{_KEY}model", str)
    if kind == "bert":
        return _wordpiece(header, tokens)
    if kind == "gpt2":
        return _byte_level(header, tokens)
    raise UnsupportedModelError(f"{header.where}: a tokenizer of the kind {kind!r:.80} is not supported in GGUF.")


def _wordpiece(header: Header, tokens: Sequence[str]) -> tuple[Json, Json]:
    vocabulary: dict[str, int] = {}
    for number, token in enumerate(tokens):
        vocabulary.setdefault(_bert_spelling(token), number)
    if missing := [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in vocabulary]:
        raise InvalidModelError(f"{header.where}: {_KEY}tokens has no {missing[0]}.")
    special = {token: vocabulary[token] for token in _BERT_SPECIAL_TOKENS if token in vocabulary}
    lowercase = header.get(f"{_KEY}normalizer.lowercase", bool, True)
    tokenizer = {
        "version": "1.0",
        "added_tokens": [_added_token(token, number, special=True) for token, number in special.items()],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(special, ["[CLS]"], ["[SEP]"]),
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    return tokenizer, {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase}


def _bert_spelling(token: str) -> str:
    if token.startswith("[") and token.endswith("]"):
        return token
    return token.removeprefix(_WORD_START) if token.startswith(_WORD_START) else f"##{token}"


def _byte_level(header: Header, tokens: Sequence[str]) -> tuple[Json, Json]:
    pattern = header.get(f"{_KEY}pre", str)
    if pattern not in _PATTERNS:
        raise UnsupportedModelError(
            f"{header.where}: {_KEY}pre {pattern!r:.80} is not supported, only {', '.join(_PATTERNS)}."
        )
    kinds = header.get(f"{_KEY}token_type", list)
    merges = [merge.split(" ") if isinstance(merge, str) else [] for merge in header.get(f"{_KEY}merges", list)]
    if len(kinds) != len(tokens) or any(len(merge) != 2 for merge in merges):  # noqa: PLR2004
        raise InvalidModelError(f"{header.where}: {_KEY}token_type or {_KEY}merges does not fit {_KEY}tokens.")
    numbered = [(token, number, kind) for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True))]
    ends = [
        [tokens[_token_id(header, name, len(tokens))]] if header.get(f"{_KEY}add_{name}_token", bool, False) else []
        for name in ("bos", "eos")
    ]
    vocabulary = {token: number for token, number, kind in numbered if kind != _UNUSED}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            _added_token(token, number, special=kind == _CONTROL)
            for token, number, kind in numbered
            if kind in (_CONTROL, _USER_DEFINED)
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": _PATTERNS[pattern]},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            ],
        },
        "post_processor": _template(vocabulary, *ends),
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }
    return tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast"}


def _token_id(header: Header, name: str, count: int) -> int:
    number: int = header.get(f"{_KEY}{name}_token_id", int)
    if not 0 <= number < count:
        raise InvalidModelError(f"{header.where}: {_KEY}{name}_token_id is {number:,}, but there are {count:,} tokens.")
    return number


def _added_token(token: str, number: int, *, special: bool) -> Json:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": token, **flags, "special": special}


def _template(vocabulary: dict[str, int], before: Sequence[str], after: Sequence[str]) -> Json:
    """The special tokens around a text, and around each of a pair."""

    def special(tokens: Sequence[str], segment: int) -> list[Json]:
        return [{"SpecialToken": {"id": token, "type_id": segment}} for token in tokens]

    single = [*special(before, 0), {"Sequence": {"id": "A", "type_id": 0}}, *special(after, 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}, *special(after, 1)],
        "special_tokens": {
            token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in {*before, *after}
        },
    }
