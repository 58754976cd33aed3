"""Real texts that every machine has, for those who bring none."""

from __future__ import annotations

import builtins
import hashlib
import inspect
from collections.abc import Iterable

QUERY = "What is the capital city of France today?"
"""One short question, of eleven tokens in the catalog's first two models."""
ORIGIN = "the docstrings of Python's builtins"


def paragraphs() -> list[str]:
    """The paragraphs of the docstrings of Python's builtins and their methods, each once; about 700."""
    things = [thing for value in vars(builtins).values() for thing in (value, *getattr(value, "__dict__", {}).values())]
    docs = [inspect.getdoc(thing) or "" for thing in things]
    return list(dict.fromkeys(" ".join(part.split()) for doc in docs for part in doc.split("\n\n") if part.strip()))


def sha256(texts: Iterable[str]) -> str:
    """What says that two results are of the same texts, in hexadecimal."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
