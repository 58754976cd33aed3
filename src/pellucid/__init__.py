"""Pellucid: text to vectors, on the machine you have.

>>> from pellucid import Embedder
>>> e = Embedder("all-MiniLM-L6-v2")                    # doctest: +SKIP
>>> e.embed_query("Hello, I am learning about embeddings!").shape  # doctest: +SKIP
(384,)

Importing this package loads nothing heavy, and uses neither the network nor the disk. Each public name is imported
when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid import errors
    from pellucid.embedder import Embedder
    from pellucid.errors import PellucidError, TruncationWarning
    from pellucid.types import TokenBatch

__version__ = "0.1.0"
__all__ = ["Embedder", "PellucidError", "TokenBatch", "TruncationWarning", "__version__", "errors"]

_MODULES = {
    "Embedder": "pellucid.embedder",
    "PellucidError": "pellucid.errors",
    "TokenBatch": "pellucid.types",
    "TruncationWarning": "pellucid.errors",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("pellucid.errors")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
