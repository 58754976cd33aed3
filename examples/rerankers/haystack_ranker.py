"""Haystack with Pellucid in the place of its SentenceTransformersSimilarityRanker: ``pip install . haystack-ai``."""

from __future__ import annotations

from haystack import Document
from passages import COUNT, MODEL, PASSAGES, QUESTION

from pellucid.integrations.haystack import PellucidRanker


def main(model_name: str = MODEL) -> list[str]:
    """Return the best passages, best first."""
    ranker = PellucidRanker(model_name, top_k=COUNT)
    found = ranker.run(QUESTION, [Document(content=passage) for passage in PASSAGES])
    return [document.content for document in found["documents"]]


if __name__ == "__main__":
    print(*main(), sep="\n")
