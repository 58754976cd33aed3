"""LlamaIndex with Pellucid as its embedding model: ``pip install . llama-index-core``."""

from __future__ import annotations

from llama_index.core import Document, VectorStoreIndex
from notes import COUNT, NOTES, QUESTION

from pellucid.integrations.llama_index import PellucidEmbedding


def main() -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their cosines."""
    model = PellucidEmbedding("all-MiniLM-L6-v2")
    index = VectorStoreIndex.from_documents([Document(text=note) for note in NOTES], embed_model=model)
    found = index.as_retriever(similarity_top_k=COUNT).retrieve(QUESTION)
    return [(hit.text, hit.score) for hit in found]


if __name__ == "__main__":
    for text, cosine in main():
        print(f"{cosine:.4f}  {text}")
