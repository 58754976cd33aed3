"""Chroma: an embedding function. A collection remembers it by its name, ``pellucid``."""

from __future__ import annotations

from typing import Any

from chromadb import Documents, EmbeddingFunction, Embeddings
from chromadb.utils.embedding_functions import register_embedding_function

from pellucid.embedder import Embedder


@register_embedding_function
class PellucidEmbeddingFunction(EmbeddingFunction[Documents]):
    """An embedding function for Chroma.

    A collection that was created with it opens without it, if this module has been imported.

    Args:
        model_name: a Hub name, a short name, or a folder.
        options: options of :class:`~pellucid.Embedder`, such as ``dtype="int8"``. They become part of the collection.
    """

    def __init__(self, model_name: str = "all-MiniLM-L6-v2", **options: Any) -> None:
        self._config = {"model_name": model_name, "options": options}
        self._embedder = Embedder(model_name, **options)

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002  Chroma's name.
        """A vector for each document."""
        return list(self._embedder.embed_documents(input))

    def embed_query(self, input: Documents) -> Embeddings:  # noqa: A002  Chroma's name.
        """A vector for each query."""
        return [self._embedder.embed_query(text) for text in input]

    @staticmethod
    def name() -> str:
        """The name under which Chroma knows this class."""
        return "pellucid"

    def default_space(self) -> str:
        """How Chroma compares the vectors by default: by their cosine."""
        return "cosine"

    def supported_spaces(self) -> list[str]:
        """How Chroma may compare the vectors."""
        return ["cosine", "l2", "ip"]

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> PellucidEmbeddingFunction:
        """The function that :meth:`get_config` described."""
        return PellucidEmbeddingFunction(config["model_name"], **config.get("options", {}))

    def get_config(self) -> dict[str, Any]:
        """What a collection keeps to make the function again."""
        return self._config

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Accept any configuration. :meth:`build_from_config` checks it."""

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Accept any change: a folder may have moved."""
