"""LanceDB: an embedding function, which its registry knows as ``pellucid`` once this module is imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lancedb.embeddings import TextEmbeddingFunction, register
from pydantic import PrivateAttr

from pellucid.embedder import Embedder


@register("pellucid")
class PellucidEmbeddings(TextEmbeddingFunction):
    """An embedding function for LanceDB: ``get_registry().get("pellucid").create(name=…)``.

    Args:
        name: a Hub name, a short name, or a folder.
        options: options of :class:`~pellucid.Embedder`, such as ``{"dtype": "int8"}``. A table keeps them.
    """

    name: str = "all-MiniLM-L6-v2"
    options: dict[str, Any] = {}  # noqa: RUF012  Pydantic copies it.
    _embedder: Embedder | None = PrivateAttr(default=None)

    def ndims(self) -> int:
        """The length of a vector."""
        return self._loaded().dimensions

    def generate_embeddings(self, texts: Iterable[str], *_arguments: Any, **_options: Any) -> list[Any]:
        """A vector for each text."""
        return list(self._loaded().embed_documents(list(texts)))

    def compute_query_embeddings(self, query: str, *_arguments: Any, **_options: Any) -> list[Any]:
        """The vector of a query, in a list."""
        return [self._loaded().embed_query(query)]

    def _loaded(self) -> Embedder:
        if self._embedder is None:
            self._embedder = Embedder(self.name, **self.options)
        return self._embedder
