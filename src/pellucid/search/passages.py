"""The sentence of a chunk that matches a query best."""

from __future__ import annotations

import re

import numpy as np

from pellucid.embedder import Embedder

_ENDS = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|[。！？]|\n\s*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)]) )")


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence begins, and where it ends, without the spaces around it."""
    found = []
    start = 0
    for match in (*_ENDS.finditer(text), None):
        end = len(text) if match is None else match.end()
        stripped = text[start:end].strip()
        if stripped:
            first = text.index(stripped, start)
            found.append((first, first + len(stripped)))
        start = end
    return found


def best_sentence(embedder: Embedder, query: str, chunk: str) -> tuple[int, int]:
    """The start and end of the sentence whose vector is nearest to the query's; (0, 0) if the chunk has no sentence."""
    places = sentences(chunk)
    if not places:
        return 0, 0
    vectors = embedder.embed_documents([chunk[start:end] for start, end in places])
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ embedder.embed_query(query) / np.maximum(lengths, 1e-12)
    return places[int(cosines.argmax())]
