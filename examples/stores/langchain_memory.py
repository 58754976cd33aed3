"""LangChain's in-memory store with Pellucid's vectors: ``pip install '.[langchain]'``."""

from __future__ import annotations

from langchain_core.vectorstores import InMemoryVectorStore
from notes import COUNT, NOTES, QUESTION

from pellucid.langchain import HuggingFaceEmbeddings


def main() -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their cosines."""
    embeddings = HuggingFaceEmbeddings(model_name="sentence-transformers/all-MiniLM-L6-v2")
    store = InMemoryVectorStore.from_texts(NOTES, embeddings)
    found = store.similarity_search_with_score(QUESTION, k=COUNT)
    return [(document.page_content, score) for document, score in found]


if __name__ == "__main__":
    for text, cosine in main():
        print(f"{cosine:.4f}  {text}")
