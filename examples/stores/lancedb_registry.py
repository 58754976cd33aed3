"""LanceDB's own embedding registry with Pellucid: ``pip install '.[search]'``.

The table records the function's name, the model's name and the options. Whoever opens the table later needs only to
import the module that registers the function, and can then search with plain text.
"""

from __future__ import annotations

import tempfile

import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector
from notes import COUNT, NOTES, QUESTION

import pellucid.integrations.lancedb  # noqa: F401  It registers "pellucid".


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
