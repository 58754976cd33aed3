"""Qdrant's client in local mode with Pellucid's vectors: ``pip install . qdrant-client``.

To keep the vectors, pass a folder (``QdrantClient(path=…)``) instead of ":memory:". To use a server, pass its URL.
"""

from __future__ import annotations

from notes import COUNT, NOTES, QUESTION
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from pellucid import Embedder


def main() -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their cosines."""
    embedder = Embedder("all-MiniLM-L6-v2")
    client = QdrantClient(":memory:")
    client.create_collection("notes", VectorParams(size=embedder.dimensions, distance=Distance.COSINE))
    vectors = embedder.embed_documents(NOTES)
    points = [
        PointStruct(id=number, vector=vector.tolist(), payload={"text": note})
        for number, (note, vector) in enumerate(zip(NOTES, vectors, strict=True))
    ]
    client.upsert("notes", points)
    found = client.query_points("notes", embedder.embed_query(QUESTION).tolist(), limit=COUNT).points
    return [(point.payload["text"], point.score) for point in found]


if __name__ == "__main__":
    for text, cosine in main():
        print(f"{cosine:.4f}  {text}")
