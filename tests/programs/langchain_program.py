"""langchain-huggingface: a vector store in memory, with documents in several processes."""

from __future__ import annotations

import json
import sys
import warnings

from langchain_core.vectorstores import InMemoryVectorStore
from langchain_huggingface import HuggingFaceEmbeddings

from tests.programs.texts import QUERY, TEXTS

warnings.simplefilter("ignore")  # encode_multi_process is deprecated.


def main() -> None:
    """Search, and embed with a pool of processes."""
    embeddings = HuggingFaceEmbeddings(model_name=sys.argv[1], encode_kwargs={"normalize_embeddings": True})
    store = InMemoryVectorStore.from_texts(TEXTS, embeddings)
    found = store.similarity_search_with_score(QUERY, k=4)
    several = HuggingFaceEmbeddings(model_name=sys.argv[1], multi_process=True).embed_documents(TEXTS[:3])
    results = {
        "texts": [document.page_content for document, _ in found],
        "scores": [float(score) for _, score in found],
        "several": [row[:8] for row in several],
    }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
