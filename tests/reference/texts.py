"""Texts to compare on: prose from the standard library, many scripts, odd characters, lengths around the limits."""

from __future__ import annotations

import importlib
import inspect
import random

MODULES = [
    "argparse",
    "asyncio",
    "calendar",
    "csv",
    "datetime",
    "decimal",
    "email",
    "http.server",
    "inspect",
    "logging",
]
SCRIPTS = [
    "Ῥόδος, ἥτις νῆσός ἐστιν",
    "Широкая электрификация южных губерний",
    "שפן אכל קצת גזר בטעם חסה",
    "صِف خَلقَ خَودٍ كَمِثلِ الشَمسِ",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    "いろはにほへと ちりぬるを",
    "키스의 고유조건은 입술끼리 만나야 하고",
    "天地玄黃 宇宙洪荒 日月盈昃",
    "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง",
    "İSTANBUL ıI Straße ﬁne Ǆ",
    "👩‍👩‍👧‍👦 🇩🇪 ☃️ 1️⃣",
]
FRAGMENTS = [
    *("<s>", "</s>", "<pad>", "<mask>", " <mask> ", "<unk>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "[unused1]"),
    *("hello", "World", "##ing", "don't", "3.14", "_", "\n", "\t", "  ", "\x00", "\x7f", "\u00a0", "\u200b", "\u3000"),
    *("\ufffd", "\ue000", "\ufeff", "e\u0301", "é", "ß", "ﬁ", "İ", "你", "😀", "x" * 101, "\u0301", "\U000e0001"),
]


def docstrings() -> list[str]:
    """All paragraphs of the docstrings in MODULES, except short ones."""
    objects = [member for name in MODULES for _, member in inspect.getmembers(importlib.import_module(name))]
    texts = [inspect.getdoc(member) or "" for member in objects if callable(member)]
    return sorted({paragraph for text in texts for paragraph in text.split("\n\n") if len(paragraph) > 20})


def odd_texts(count: int, seed: int = 0) -> list[str]:
    """Random texts made of FRAGMENTS and of any characters that UTF-8 can encode."""
    rng = random.Random(seed)
    ranges = [(0x20, 0x250), (0x250, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000)]

    def piece() -> str:
        return rng.choice(FRAGMENTS) if rng.random() < 0.7 else chr(rng.randrange(*rng.choice(ranges)))

    return ["".join(piece() for _ in range(rng.randrange(1, 15))) for _ in range(count)]


def texts_around_limit(max_tokens: int) -> list[str]:
    """Texts with one token per word: one word, three lengths around the longest that is not cut, and a much longer one.

    The tokenizer adds two special tokens, which count too.
    """
    return [" ".join(["word"] * count) for count in (1, max_tokens - 3, max_tokens - 2, max_tokens - 1, 3 * max_tokens)]
