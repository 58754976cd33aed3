"""LangChain's FAISS store with Pellucid's vectors: ``pip install '.[langchain]' langchain-community faiss-cpu``.

The store keeps texts in memory and vectors in FAISS. Its ``save_local`` writes the texts with pickle, and its
``load_local`` unpickles them. Unpickling a file can run any code in it, so load only files that you saved yourself.
"""

from __future__ import annotations

from langchain_community.vectorstores import FAISS
from langchain_community.vectorstores.utils import DistanceStrategy
from notes import COUNT, NOTES, QUESTION

from pellucid.langchain import HuggingFaceEmbeddings


def main() -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their cosines."""
    embeddings = HuggingFaceEmbeddings(model_name="sentence-transformers/all-MiniLM-L6-v2")
    # This model's vectors have unit length, so their inner product is their cosine.
    store = FAISS.from_texts(NOTES, embeddings, distance_strategy=DistanceStrategy.MAX_INNER_PRODUCT)
    found = store.similarity_search_with_score(QUESTION, k=COUNT)
    return [(document.page_content, float(score)) for document, score in found]


if __name__ == "__main__":
    for text, cosine in main():
        print(f"{cosine:.4f}  {text}")
