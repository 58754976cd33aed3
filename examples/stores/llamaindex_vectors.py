"""LlamaIndex with Pellucid as its embedding model: ``pip install . llama-index-core``.

Queries and documents use different methods, because a model may have a prompt for each.
"""

from __future__ import annotations

from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from notes import COUNT, NOTES, QUESTION
from pydantic import PrivateAttr

from pellucid import Embedder


class PellucidEmbedding(BaseEmbedding):
    """An embedding model for LlamaIndex. Options unknown to LlamaIndex, such as ``dtype``, go to the Embedder."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, model_name: str, **options: Any) -> None:
        llama_index_options = {key: options.pop(key) for key in BaseEmbedding.model_fields if key in options}
        super().__init__(model_name=model_name, **llama_index_options)
        self._embedder = Embedder(model_name, **options)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._embedder.embed_query(query).tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._embedder.embed_documents(texts).tolist()


def main() -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their cosines."""
    model = PellucidEmbedding("all-MiniLM-L6-v2", embed_batch_size=256)
    index = VectorStoreIndex.from_documents([Document(text=note) for note in NOTES], embed_model=model)
    found = index.as_retriever(similarity_top_k=COUNT).retrieve(QUESTION)
    return [(hit.text, hit.score) for hit in found]


if __name__ == "__main__":
    for text, cosine in main():
        print(f"{cosine:.4f}  {text}")
