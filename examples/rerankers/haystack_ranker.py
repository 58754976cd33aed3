"""Haystack with Pellucid in the place of its SentenceTransformersSimilarityRanker: ``pip install . haystack-ai``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from haystack import Document, component, default_to_dict
from passages import COUNT, MODEL, PASSAGES, QUESTION

from pellucid import Reranker


@component
class PellucidRanker:
    """Sorts documents by how well they answer a query. Further options, such as ``dtype``, are those of Reranker."""

    def __init__(self, model: str, top_k: int = 10, **options: Any) -> None:
        self.model, self.top_k, self.options = model, top_k, options
        self._reranker: Reranker | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a saved pipeline keeps."""
        return default_to_dict(self, model=self.model, top_k=self.top_k, **self.options)

    def warm_up(self) -> None:
        """Load the model. A pipeline calls this before its first run."""
        if self._reranker is None:
            self._reranker = Reranker(self.model, **self.options)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Return the best documents, best first, with their scores."""
        self.warm_up()
        ranked = self._reranker.rank(query, [document.content or "" for document in documents], top_k or self.top_k)
        return {"documents": [replace(documents[best.index], score=best.score) for best in ranked]}


def main(model_name: str = MODEL) -> list[str]:
    """Return the best passages, best first."""
    ranker = PellucidRanker(model_name, top_k=COUNT)
    found = ranker.run(QUESTION, [Document(content=passage) for passage in PASSAGES])
    return [document.content for document in found["documents"]]


if __name__ == "__main__":
    print(*main(), sep="\n")
