"""Qdrant's client in local mode with a vector for each token, compared by MaxSim: ``pip install . qdrant-client``.

To use a server, pass its URL instead of ":memory:". Qdrant refuses a text without vectors, such as one of punctuation
only: leave such texts out.
"""

from __future__ import annotations

from notes import COUNT, NOTES, QUESTION
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, MultiVectorComparator, MultiVectorConfig, PointStruct, VectorParams

from pellucid import MultiVectorEmbedder


def main(model: str = "lightonai/GTE-ModernColBERT-v1") -> list[tuple[str, float]]:
    """Store the notes, search them, and return the best ones with their MaxSim."""
    embedder = MultiVectorEmbedder(model)
    client = QdrantClient(":memory:")
    max_sim = MultiVectorConfig(comparator=MultiVectorComparator.MAX_SIM)
    # MaxSim is a sum of dot products, whatever the lengths of the vectors.
    params = VectorParams(size=embedder.dimensions, distance=Distance.DOT, multivector_config=max_sim)
    client.create_collection("notes", params)
    points = [
        PointStruct(id=number, vector=vectors.tolist(), payload={"text": note})
        for number, (note, vectors) in enumerate(zip(NOTES, embedder.embed_documents(NOTES), strict=True))
    ]
    client.upsert("notes", points)
    found = client.query_points("notes", embedder.embed_query(QUESTION).tolist(), limit=COUNT).points
    return [(point.payload["text"], point.score) for point in found]


if __name__ == "__main__":
    for text, score in main():
        print(f"{score:.4f}  {text}")
