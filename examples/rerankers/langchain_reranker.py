"""LangChain's CrossEncoderReranker with Pellucid: ``pip install '.[langchain]' langchain-classic``."""

from __future__ import annotations

from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.documents import Document
from passages import COUNT, MODEL, PASSAGES, QUESTION

from pellucid.langchain import HuggingFaceCrossEncoder


def main(model_name: str = MODEL) -> list[str]:
    """Return the best passages, best first."""
    reranker = CrossEncoderReranker(model=HuggingFaceCrossEncoder(model_name=model_name), top_n=COUNT)
    documents = [Document(passage) for passage in PASSAGES]
    return [document.page_content for document in reranker.compress_documents(documents, QUESTION)]


if __name__ == "__main__":
    print(*main(), sep="\n")
