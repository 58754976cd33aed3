"""LanceDB: a table whose column of vectors is computed from its column of texts."""

from __future__ import annotations

import json
import sys
import tempfile

import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

from tests.programs.texts import QUERY, TEXTS

function = get_registry().get("sentence-transformers").create(name=sys.argv[1])


class Row(LanceModel):
    """A row of the table."""

    text: str = function.SourceField()
    vector: Vector(function.ndims()) = function.VectorField()


with tempfile.TemporaryDirectory() as folder:
    table = lancedb.connect(folder).create_table("texts", schema=Row)
    table.add([{"text": text} for text in TEXTS])
    found = table.search(QUERY).limit(4).to_list()
print(json.dumps({"texts": [row["text"] for row in found], "distances": [row["_distance"] for row in found]}))
