"""The texts of the workloads: paragraphs of the standard library's docstrings, because everyone has them already.

Nothing is downloaded, and the order is always the same. But docstrings differ between versions of Python. So compare
two results only if the SHA-256 of their texts is the same.
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
"""With this limit, paragraphs have 31 tokens of all-MiniLM-L6-v2 on average, like chunks of a document."""
MIN_QUERY_WORDS, MIN_DOCUMENT_WORDS = 4, 20
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo"}
QUERY = "Where is the cat sleeping right now?"
"""It has ten tokens in both models, including the two special ones."""


def short(n: int = 2000) -> list[str]:
    """Single paragraphs, in a random order that is always the same."""
    paragraphs = list(_paragraphs())
    if n > len(paragraphs):
        raise ValueError(f"the standard library has only {len(paragraphs)} paragraphs, not {n}")
    return paragraphs[:n]


def last(n: int) -> list[str]:
    """The last of these paragraphs, which :func:`short` never gives unless it is asked for nearly all."""
    return list(_paragraphs()[-n:])


def long(n: int = 200, words: int = 256) -> list[str]:
    """Texts of joined paragraphs. Each has more than ``words`` words, and so more tokens than a model reads."""
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
    """Any number of distinct texts: the paragraphs, repeated as often as needed, each with a number in front."""
    return [f"{i}. {paragraph}" for i, paragraph in enumerate(itertools.islice(itertools.cycle(_paragraphs()), n), 1)]


def known_items() -> list[tuple[str, str]]:
    """Pairs of a query and the one document that answers it: the first paragraph of a docstring, and the rest of it."""
    summaries: collections.Counter[str] = collections.Counter()
    summary_of: dict[str, str] = {}
    for docstring in _docstrings(Path(sysconfig.get_path("stdlib"))):
        first, _, rest = docstring.partition("\n\n")
        summary = " ".join(first.split())
        if len(summary.split()) >= MIN_QUERY_WORDS and len(rest.split()) >= MIN_DOCUMENT_WORDS:
            summaries[summary] += 1
            summary_of.setdefault(rest.strip(), summary)
    return [(summary, document) for document, summary in summary_of.items() if summaries[summary] == 1]


def sha256(texts: Sequence[str]) -> str:
    """The digest of texts. Results with the same digest have the same texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


@functools.cache
def _paragraphs() -> tuple[str, ...]:
    unique: dict[str, None] = {}  # The keys are a set that keeps its order. So the shuffle is the same everywhere.
    for docstring in _docstrings(Path(sysconfig.get_path("stdlib"))):
        for part in re.split(r"\n\s*\n", docstring):
            paragraph = " ".join(part.split())
            if MIN_CHARACTERS <= len(paragraph) <= MAX_CHARACTERS:
                unique[paragraph] = None
    paragraphs = list(unique)
    random.Random(SEED).shuffle(paragraphs)  # noqa: S311  not a secret
    return tuple(paragraphs)


def _docstrings(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for name in sorted(files):
            if not name.endswith(".py") or name.startswith("_sysconfigdata"):
                continue
            tree = ast.parse((Path(folder) / name).read_bytes())
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield ast.get_docstring(node) or ""
