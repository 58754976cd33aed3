"""Target ``words``: texts that are hard to cut into words. With the table of words, each has the ids that the library
gives for the whole text. Each case is a thousand random texts; with the whole target, a million for each tokenizer.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests import words

from attack.child import Case, Result
from attack.target import Target

TEXTS = 1000


def prepare(shared: Path) -> Case:
    tokenizers = [
        words.write_tokenizer(shared / str(number), make(), added)
        for number, make in enumerate(words.KINDS.values())
        for added in (words.ADDED,)
    ]

    def case(rng: random.Random, _files: Path) -> Result:
        tokenizer = tokenizers[rng.randrange(len(tokenizers))]
        words.compare(tokenizer, [words.random_text(rng) for _ in range(TEXTS)])
        return Result()

    return case
