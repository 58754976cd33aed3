"""LanceDB's own embedding registry with Pellucid: ``pip install '.[search]'``.

The table records the function's name, the model's name and the options. Whoever opens the table later needs only to
import this class, and can then search with plain text.
"""

from __future__ import annotations

import tempfile
from typing import Any

import lancedb
from lancedb.embeddings import TextEmbeddingFunction, get_registry, register
from lancedb.pydantic import LanceModel, Vector
from notes import COUNT, NOTES, QUESTION
from pydantic import ConfigDict, PrivateAttr

from pellucid import Embedder


@register("pellucid")
class PellucidFunction(TextEmbeddingFunction):
    """An embedding model for LanceDB. Options unknown to LanceDB, such as ``dtype``, go to the Embedder."""

    model_config = ConfigDict(extra="allow")

    name: str = "all-MiniLM-L6-v2"
    _embedder: Embedder = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._embedder = Embedder(self.name, **(self.model_extra or {}))

    def ndims(self) -> int:
        return self._embedder.dimensions

    def generate_embeddings(self, texts: Any) -> list[Any]:
        return list(self._embedder.embed_documents(list(texts)))

    def compute_query_embeddings(self, query: str) -> list[Any]:
        return [self._embedder.embed_query(query)]


def main() -> list[tuple[str, float]]:
    """Store the notes, reopen the table, search it, and return the best notes with their cosines."""
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
