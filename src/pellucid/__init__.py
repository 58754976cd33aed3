"""Pellucid: text to vectors, on the machine you have.

>>> from pellucid import Embedder
>>> e = Embedder("all-MiniLM-L6-v2")                    # doctest: +SKIP
>>> e.embed_query("Hello, I am learning about embeddings!").shape  # doctest: +SKIP
(384,)

Importing this package loads nothing heavy, reads no model and no configuration, and uses no network. Each public name
is imported when it is first used. ``__init__.pyi`` tells type checkers what the names are.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "Classifier": "pellucid.classifier",
    "Embedder": "pellucid.embedder",
    "Encoder": "pellucid.encoder.encoder",
    "MultiVectorEmbedder": "pellucid.multi_vector_embedder",
    "MultiVectors": "pellucid.types",
    "PellucidError": "pellucid.errors",
    "Reranker": "pellucid.reranker",
    "SparseEmbedder": "pellucid.sparse_embedder",
    "SparseVectors": "pellucid.sparse_vectors",
    "TokenBatch": "pellucid.types",
    "TruncationWarning": "pellucid.errors",
    "cluster": "pellucid.vectors.clusters",
    "near_duplicates": "pellucid.vectors.duplicates",
    "nearest": "pellucid.vectors.similarity",
    "similarity": "pellucid.vectors.similarity",
}
__all__ = [*_MODULES, "__version__", "errors"]  # noqa: PLE0604  The names are strings.


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("pellucid.errors")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'pellucid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
