"""LanceDB: an embedding function, which its registry knows as ``pellucid`` once this module is imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lancedb.embeddings import TextEmbeddingFunction, register
from pydantic import ConfigDict, PrivateAttr

from pellucid.embedder import Embedder


@register("pellucid")
class PellucidEmbeddings(TextEmbeddingFunction):
    """An embedding function for LanceDB: ``get_registry().get("pellucid").create(name=…, dtype="int8")``.

    A table keeps the name and the options.

    Args:
        name: a Hub name, a short name, or a folder.
        max_retries: how often LanceDB tries again after an error.
        extra_data: options of :class:`~pellucid.Embedder`, such as ``dtype="int8"``.

    Raises:
        TypeError: an option is unknown.
    """

    model_config = ConfigDict(extra="allow")

    name: str = "all-MiniLM-L6-v2"
    _embedder: Embedder = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Load the model."""
        super().model_post_init(context)
        self._embedder = Embedder(self.name, **(self.model_extra or {}))

    def ndims(self) -> int:
        """The length of a vector."""
        return self._embedder.dimensions

    def generate_embeddings(self, texts: Iterable[str], *_arguments: Any, **_options: Any) -> list[Any]:
        """A vector for each text."""
        return list(self._embedder.embed_documents(list(texts)))

    def compute_query_embeddings(self, query: str, *_arguments: Any, **_options: Any) -> list[Any]:
        """The vector of a query, in a list."""
        return [self._embedder.embed_query(query)]
