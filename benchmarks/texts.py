"""The workloads: paragraphs of the standard library's docstrings, because every reader has them already.

Nothing is fetched and nothing is random, but another version of Python has other docstrings: compare two results only
if the SHA-256 of their texts agrees.
"""

from __future__ import annotations

import ast
import collections
import functools
import hashlib
import itertools
import os
import random
import re
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

SEED = 7
MIN_CHARACTERS = 20
"""Shorter paragraphs are headings and signatures."""
MAX_CHARACTERS = 800
"""With this bound, the paragraphs have 31 tokens of all-MiniLM-L6-v2 on average: chunks of a document, not pages."""
MIN_WORDS_OF_A_QUERY, MIN_WORDS_OF_A_DOCUMENT = 4, 20
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo"}
QUERY = "Where is the cat sleeping right now?"
"""Ten tokens, the two special ones included, of both models."""


def short(n: int = 2000) -> list[str]:
    """Single paragraphs, in an order that has nothing to do with their length."""
    paragraphs = list(_paragraphs())
    if n > len(paragraphs):
        raise ValueError(f"the standard library has only {len(paragraphs)} paragraphs, not {n}")
    return paragraphs[:n]


def long(n: int = 200, words: int = 256) -> list[str]:
    """Paragraphs joined until each text has more than so many words, and so more tokens than a model reads."""
    endless = itertools.cycle(_paragraphs())
    texts = []
    for _ in range(n):
        text = ""
        while len(text.split()) <= words:
            text = f"{text} {next(endless)}".strip()
        texts.append(text)
    return texts


def query() -> list[str]:
    """One short question."""
    return [QUERY]


def many(n: int) -> list[str]:
    """Any number of distinct texts: the paragraphs over and over, each with its number."""
    return [f"{i}. {paragraph}" for i, paragraph in enumerate(itertools.islice(itertools.cycle(_paragraphs()), n), 1)]


def known_items() -> list[tuple[str, str]]:
    """Queries, each with the one document that answers it: the first paragraph of a docstring, and the others."""
    summaries: collections.Counter[str] = collections.Counter()
    found: dict[str, str] = {}
    for docstring in _docstrings(Path(sysconfig.get_path("stdlib"))):
        first, _, others = docstring.partition("\n\n")
        summary = " ".join(first.split())
        if len(summary.split()) >= MIN_WORDS_OF_A_QUERY and len(others.split()) >= MIN_WORDS_OF_A_DOCUMENT:
            summaries[summary] += 1
            found.setdefault(others.strip(), summary)
    return [(summary, document) for document, summary in found.items() if summaries[summary] == 1]


def sha256(texts: Sequence[str]) -> str:
    """What says that two results are of the same texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


@functools.cache
def _paragraphs() -> tuple[str, ...]:
    found: dict[str, None] = {}  # A set that keeps the order, so that the shuffle is the same everywhere.
    for docstring in _docstrings(Path(sysconfig.get_path("stdlib"))):
        for part in re.split(r"\n\s*\n", docstring):
            paragraph = " ".join(part.split())
            if MIN_CHARACTERS <= len(paragraph) <= MAX_CHARACTERS:
                found[paragraph] = None
    paragraphs = list(found)
    random.Random(SEED).shuffle(paragraphs)  # noqa: S311  no secret
    return tuple(paragraphs)


def _docstrings(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - NOT_THE_LIBRARY)
        for name in sorted(files):
            if not name.endswith(".py") or name.startswith("_sysconfigdata"):
                continue
            tree = ast.parse((Path(folder) / name).read_bytes())
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield ast.get_docstring(node) or ""
