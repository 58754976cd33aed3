"""Qdrant's client in local mode with sparse vectors: ``pip install . qdrant-client``.

To use a server, pass its URL instead of ":memory:". It keeps sparse vectors in an inverted index, and its scores are
the same dot products.
"""

from __future__ import annotations

from notes import COUNT, NOTES, QUESTION
from qdrant_client import QdrantClient
from qdrant_client.models import PointStruct, SparseVector, SparseVectorParams

from pellucid import SparseEmbedder, SparseVectors


def to_qdrant(vector: SparseVectors) -> SparseVector:
    """One sparse vector, as Qdrant takes it."""
    return SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())


def main(model: str = "naver/splade-v3") -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their dot products."""
    embedder = SparseEmbedder(model)
    client = QdrantClient(":memory:")
    client.create_collection("notes", sparse_vectors_config={"words": SparseVectorParams()})
    points = [
        PointStruct(id=number, vector={"words": to_qdrant(vector)}, payload={"text": note})
        for number, (note, vector) in enumerate(zip(NOTES, embedder.embed_documents(NOTES), strict=True))
    ]
    client.upsert("notes", points)
    query = to_qdrant(embedder.embed_query(QUESTION))
    found = client.query_points("notes", query, using="words", limit=COUNT).points
    return [(point.payload["text"], point.score) for point in found]


if __name__ == "__main__":
    for text, score in main():
        print(f"{score:.4f}  {text}")
