"""Hostile tokenizers: patterns that backtrack, normalizers that multiply the text, and vocabularies with holes."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attack.strange_files import replace_file

SLOW_PATTERNS = (
    "(a+)+$",
    "(a|a)*b",
    "(?:a*)*c",
    "(.*a){20}",
    "(a?){30}a{30}",
    "(?=(a+))*b",
    "(x+x+)+y",
    r"(\w+\s?)+$",
    "(?<=a+)b",
)
INVALID_PATTERNS = ("(", "[", "*", "(?P<", "\\", "(?<!x*)", "a{1000000}", "(?R)", "\\p{Nope}", "")
NUMBERS = (0, -1, 1, 2**31, 2**32, 2**63, 2**64, 10**30, 1e308, 0.5, None, "1", [1])

PartMaker = Callable[[random.Random], Any]


def _pattern(rng: random.Random) -> dict[str, str]:
    return {
        rng.choice(("Regex", "Regex", "Regex", "String", "Other")): rng.choice(
            (*SLOW_PATTERNS, *SLOW_PATTERNS, *INVALID_PATTERNS, "a", " ")
        )
    }


def _multiplying_normalizer(rng: random.Random) -> dict[str, Any]:
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * rng.choice((2, 10, 1000, 1_000_000))}
    return {"type": "Sequence", "normalizers": [step] * rng.choice((1, 2, 5, 30))}


def _precompiled_normalizer(rng: random.Random) -> dict[str, Any]:
    content = rng.randbytes(rng.choice((0, 1, 3, 4, 5, 64, 1024)))
    stated_length = rng.choice((0, 1, 4, len(content), 1024, 2**31, 2**32 - 1)).to_bytes(4, "little")
    charsmap = base64.b64encode(stated_length + content).decode()
    return {"type": "Precompiled", "precompiled_charsmap": rng.choice((charsmap, charsmap[:-1], "!", None, "", 7))}


def _normalizer(rng: random.Random) -> Any:
    return rng.choice(
        (
            _multiplying_normalizer(rng),
            _precompiled_normalizer(rng),
            {"type": "Replace", "pattern": _pattern(rng), "content": rng.choice(("", "b", "a" * 1000))},
            {"type": "Prepend", "prepend": rng.choice(("", "a" * 1_000_000, "\0"))},
            {"type": rng.choice(("NFKD", "NFC", "Lowercase", "StripAccents", "Nmt", "Bert", "Other", "ByteLevel"))},
            {"type": "Strip", "strip_left": rng.choice((True, 1, None)), "strip_right": True},
            {"type": "Sequence", "normalizers": rng.choice(([], [{}], [{"type": "NFD"}] * 10_000))},
        )
    )


def _pre_tokenizer(rng: random.Random) -> Any:
    behavior = rng.choice(("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous", "Other"))
    return rng.choice(
        (
            {"type": "Split", "pattern": _pattern(rng), "behavior": behavior, "invert": rng.random() < 0.5},
            {"type": "Digits", "individual_digits": True},
            {"type": "Punctuation", "behavior": behavior},
            {"type": "Metaspace", "replacement": rng.choice(("▁", "", "ab", "a")), "prepend_scheme": "always"},
            {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": rng.random() < 0.5},
            {"type": "CharDelimiterSplit", "delimiter": rng.choice(("a", "", "ab"))},
            {"type": "FixedLength", "length": rng.choice(NUMBERS)},
            {"type": rng.choice(("UnicodeScripts", "BertPreTokenizer", "WhitespaceSplit", "Other"))},
            {"type": "Sequence", "pretokenizers": rng.choice(([], [{"type": "WhitespaceSplit"}] * 1000))},
            None,
        )
    )


def _post_processor(rng: random.Random) -> Any:
    def sequence(name: str) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": rng.choice((0, 1, 7))}}

    def special(name: str) -> dict[str, Any]:
        return {"SpecialToken": {"id": name, "type_id": 0}}

    piece = rng.choice(("[CLS]", "<s>", "nothing", ""))
    single = rng.choice(
        (
            [],
            [special(piece)],
            [sequence("A")] * rng.choice((2, 3, 1000)),
            [sequence("B")],
            [sequence("A"), sequence("B")],
            [special(piece)] * 1000 + [sequence("A")],
            [special(piece), sequence("A"), special(piece)],
        )
    )
    ids = rng.choice(([], [1], [1, 2, 3], [2**32 - 1], [99_999], [-1], list(range(50))))
    tokens = rng.choice(([piece], ["[CLS]"], [], ["\x1b"]))
    return {
        "type": rng.choice(("TemplateProcessing",) * 8 + ("Sequence", "Other")),
        "single": single,
        "pair": rng.choice((single, [sequence("A"), sequence("B")], [])),
        "special_tokens": rng.choice(({piece: {"id": piece, "ids": ids, "tokens": tokens}}, {}, [], None)),
    }


def _added_tokens(rng: random.Random) -> Any:
    def token(number: int, content: Any) -> dict[str, Any]:
        flags = {name: rng.random() < 0.3 for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        return {"id": number, "content": content, **flags}

    return rng.choice(
        (
            [token(rng.choice((0, 1, 2**31, 2**32 - 1, 10**9)), rng.choice(("", " ", "a", "\n", "the", "\ud800")))],
            [token(number, f"t{number}") for number in range(rng.choice((1000, 20_000)))],
            [token(7, "a"), token(7, "b")],
            [token(number % 5, "") for number in range(10)],
            [token(rng.choice((0.5, -1, "1", None)), rng.choice((1, None, [])))],  # type: ignore[arg-type]
            [token(5, "a" * 1_000_000)],
        )
    )


def _model(rng: random.Random, model: Any) -> Any:
    """Make holes in the vocabulary, give two tokens the same id, or put wrong values into the other settings."""
    vocabulary = model.get("vocab")
    choice = rng.randrange(8)
    if choice == 0 and isinstance(vocabulary, dict):
        for name in rng.sample(sorted(vocabulary), rng.choice((1, 5, len(vocabulary) // 2))):
            del vocabulary[name]
    elif choice == 1 and isinstance(vocabulary, dict):
        vocabulary[rng.choice(sorted(vocabulary))] = rng.choice(NUMBERS)
    elif choice == 2 and isinstance(vocabulary, dict):
        first, second = rng.sample(sorted(vocabulary), 2)
        vocabulary[first] = vocabulary[second]
    elif choice == 3 and isinstance(vocabulary, list):
        place = rng.randrange(len(vocabulary))
        vocabulary[place] = rng.choice(
            (["", 0.0], ["a", float("nan")], ["a", 1e308], ["a", -1e308], ["a"], None, vocabulary[0])
        )
    elif choice == 4:
        model["merges"] = rng.choice(
            ([], [["a", "b"]], [["zz", "zz"]], ["a b c"], [["t", "h"]] * 5000, [[]], None, ["ab"])
        )
    elif choice == 5:
        key = rng.choice(("unk_token", "unk_id", "continuing_subword_prefix", "max_input_chars_per_word", "dropout"))
        model[key] = rng.choice((*NUMBERS, "nothing", "", "[UNK]", "a" * 100_000))
    elif choice == 6:
        model[rng.choice(("byte_fallback", "fuse_unk", "ignore_merges"))] = rng.choice((True, None, 1))
    else:
        model["type"] = rng.choice(("WordLevel", "WordPiece", "BPE", "Unigram", "Other", None))
    return model


def rewrite(rng: random.Random, path: Path) -> None:
    """Replace one or two parts of a ``tokenizer.json``."""
    tokenizer = json.loads(path.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 2))):
        part = rng.choice(
            ("normalizer", "normalizer", "pre_tokenizer", "post_processor", "post_processor", "model", "model")
        )
        if rng.random() < 0.2:
            part = rng.choice(("added_tokens", "truncation", "padding", "decoder", "version"))
        tokenizer[part] = _part(rng, part, tokenizer)
    replace_file(path, json.dumps(tokenizer).encode("utf-8", "surrogatepass"))


def _part(rng: random.Random, part: str, tokenizer: Any) -> Any:
    makers: dict[str, PartMaker] = {
        "normalizer": _normalizer,
        "pre_tokenizer": _pre_tokenizer,
        "post_processor": _post_processor,
        "added_tokens": _added_tokens,
        "model": lambda rng: _model(rng, tokenizer["model"]),
        "truncation": lambda rng: {
            "direction": rng.choice(("Left", "Right", "Up")),
            "max_length": rng.choice(NUMBERS),
            "strategy": rng.choice(("LongestFirst", "OnlySecond", "Other")),
            "stride": rng.choice(NUMBERS),
        },
        "padding": lambda rng: {
            "strategy": rng.choice(("BatchLongest", {"Fixed": rng.choice(NUMBERS)})),
            "direction": "Right",
            "pad_to_multiple_of": rng.choice(NUMBERS),
            "pad_id": rng.choice(NUMBERS),
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "decoder": lambda rng: rng.choice(({"type": "Replace", "pattern": _pattern(rng), "content": ""}, {}, None, 7)),
        "version": lambda rng: rng.choice((*NUMBERS, "9.9")),
    }
    return makers[part](rng)
