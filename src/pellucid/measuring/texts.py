"""Real texts that every machine has, for users without texts of their own."""

from __future__ import annotations

import builtins
import hashlib
import inspect
from collections.abc import Iterable

QUERY = "What is the capital city of France today?"
"""A short question. It has eleven tokens in the first two models of the catalog."""
ORIGIN = "the docstrings of Python's builtins"
"""Where the paragraphs come from, for the reader of a result."""


def paragraphs() -> list[str]:
    """The distinct paragraphs in the docstrings of Python's builtins and their methods: about 700."""
    objects = [item for value in vars(builtins).values() for item in (value, *getattr(value, "__dict__", {}).values())]
    docs = [inspect.getdoc(item) or "" for item in objects]
    return list(dict.fromkeys(" ".join(part.split()) for doc in docs for part in doc.split("\n\n") if part.strip()))


def sha256(texts: Iterable[str]) -> str:
    """A digest in hexadecimal. Two results with the same digest were measured on the same texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
