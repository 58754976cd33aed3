"""Target ``words``: texts that are hard to cut into words. With the table of words, each has the ids that the library
gives for the whole text: when its words are new, when the table learns them, and when it knows them.

For a million texts of each kind of tokenizer, and then all characters of Unicode, emoji in sequences, and the sources
of the standard library, which takes hours::

    .venv/bin/python -m attack.words --texts 1000000 --corpora
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000_000, help="how many random texts for each kind")
    parser.add_argument("--corpora", action="store_true", help="compare the other texts too")
    parser.add_argument("--kinds", nargs="+", default=list(words.KINDS), choices=words.KINDS, metavar="KIND")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(args.kinds):
            tokenizer = words.write_tokenizer(Path(folder) / str(number), words.KINDS[kind]())
            rng = random.Random(f"{kind} {args.seed}")
            corpora = {"random": (words.random_text(rng) for _ in range(args.texts))}
            if args.corpora:
                corpora |= {
                    "characters": words.character_texts(),
                    "emoji": words.emoji_texts(),
                    "sources": words.library_texts(),
                }
            for name, texts in corpora.items():
                start, count = time.monotonic(), 0
                for part in _parts(texts):
                    words.compare(tokenizer, part)
                    count += len(part)
                print(f"{kind}: {count:,} texts ({name}) equal, {time.monotonic() - start:.0f} s", flush=True)


def _parts(texts: Iterator[str]) -> Iterator[list[str]]:
    while part := list(itertools.islice(texts, TEXTS)):
        yield part


if __name__ == "__main__":
    main()
