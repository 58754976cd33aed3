"""LanceDB's own embedding registry with Pellucid: ``pip install '.[search]'``.

The table keeps the function's name and the model's: whoever opens it later, with this class imported, asks in words.
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from typing import Any

import lancedb
from lancedb.embeddings import TextEmbeddingFunction, get_registry, register
from lancedb.pydantic import LanceModel, Vector
from notes import COUNT, NOTES, QUESTION

from pellucid import Embedder


@register("pellucid")
class PellucidFunction(TextEmbeddingFunction):
    """A model for LanceDB, by its name."""

    name: str = "all-MiniLM-L6-v2"

    @cached_property
    def _embedder(self) -> Embedder:
        return Embedder(self.name)

    def ndims(self) -> int:
        return self._embedder.dimensions

    def generate_embeddings(self, texts: Any, *_: Any, **__: Any) -> list[Any]:
        return list(self._embedder.embed_documents(list(texts)))

    def compute_query_embeddings(self, query: str, *_: Any, **__: Any) -> list[Any]:
        return [self._embedder.embed_query(query)]


def main() -> list[tuple[str, float]]:
    """Store the notes, open the table again, ask, and return the best with their cosines."""
    function = get_registry().get("pellucid").create(name="all-MiniLM-L6-v2")

    class Note(LanceModel):
        text: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()  # type: ignore[valid-type]

    with tempfile.TemporaryDirectory() as folder:
        lancedb.connect(folder).create_table("notes", schema=Note).add([{"text": note} for note in NOTES])
        table = lancedb.connect(folder).open_table("notes")
        found = table.search(QUESTION).distance_type("cosine").limit(COUNT).to_list()
    return [(hit["text"], 1 - hit["_distance"]) for hit in found]


if __name__ == "__main__":
    for text, cosine in main():
        print(f"{cosine:.4f}  {text}")
