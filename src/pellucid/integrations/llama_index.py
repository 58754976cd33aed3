"""LlamaIndex: an embedding model, and a postprocessor that reranks."""

from __future__ import annotations

import asyncio
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseComponent, MetadataMode, NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr

from pellucid.embedder import Embedder
from pellucid.errors import InputError
from pellucid.reranker import Reranker

_TEXTS_PER_CALL = 2048
"""LlamaIndex sends so many texts at a time. It allows no more, and with fewer, Pellucid has less to join."""


class _TakesOptions(BaseComponent):
    """Keeps what is not a field of LlamaIndex: the options of Embedder or Reranker."""

    model_config = ConfigDict(extra="allow")

    def __getstate__(self) -> dict[str, Any]:
        """The state for a pickle. LlamaIndex calls ``__init__`` with its ``__dict__``, so options go there."""
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], **(self.model_extra or {})}}


class PellucidEmbedding(_TakesOptions, BaseEmbedding):
    """An embedding model for LlamaIndex.

    Args:
        model_name: a Hub name, a short name, or a folder.
        options: fields of LlamaIndex's ``BaseEmbedding``, such as ``callback_manager``, and options of
            :class:`~pellucid.Embedder`, such as ``dtype="int8"``.

    Raises:
        TypeError: an option is unknown.
    """

    _embedder: Embedder = PrivateAttr()

    def __init__(self, model_name: str = "all-MiniLM-L6-v2", **options: Any) -> None:
        super().__init__(model_name=model_name, **{"embed_batch_size": _TEXTS_PER_CALL, **options})
        self._embedder = Embedder(model_name, **(self.model_extra or {}))

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows this class."""
        return "PellucidEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.embed_query(query).tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed_documents(texts).tolist()
        return vectors

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class PellucidRerank(_TakesOptions, BaseNodePostprocessor):
    """Keeps the nodes that answer a query best, best first, with a cross-encoder's scores.

    Args:
        model_name: a Hub name, or a folder.
        top_n: how many nodes to keep.
        options: fields of LlamaIndex's ``BaseNodePostprocessor``, such as ``callback_manager``, and options of
            :class:`~pellucid.Reranker`, such as ``dtype="int8"``.

    Raises:
        TypeError: an option is unknown.
    """

    model_name: str = "cross-encoder/ms-marco-MiniLM-L6-v2"
    top_n: int = Field(default=2, ge=1)
    _reranker: Reranker = PrivateAttr()

    def __init__(
        self, model_name: str = "cross-encoder/ms-marco-MiniLM-L6-v2", *, top_n: int = 2, **options: Any
    ) -> None:
        super().__init__(model_name=model_name, top_n=top_n, **options)
        self._reranker = Reranker(model_name, **(self.model_extra or {}))

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows this class."""
        return "PellucidRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("PellucidRerank needs the query: pass query_str= or query_bundle=.")
        texts = [each.node.get_content(metadata_mode=MetadataMode.EMBED) for each in nodes]
        ranks = self._reranker.rank(query_bundle.query_str, texts, self.top_n)
        return [NodeWithScore(node=nodes[rank.index].node, score=rank.score) for rank in ranks]
