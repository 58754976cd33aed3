"""Target ``words``: texts that are hard to cut into words. With the table of words, each has the ids that the library
gives for the whole text: when its words are new, when the table learns them, and when it knows them.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests import words

from attack.child import Case, Result
from attack.target import Target

TEXTS = 1000
"""How many texts a case has."""


def prepare(shared: Path) -> Case:
    tokenizers = [words.write_tokenizer(shared / str(n), make()) for n, make in enumerate(words.KINDS.values())]

    def case(rng: random.Random, _files: Path) -> Result:
        words.compare(rng.choice(tokenizers), [words.random_text(rng) for _ in range(TEXTS)])
        return Result()

    return case


TARGET = Target(prepare, cases=1000, short=20, invariant="each text has the ids that the library gives for it")
