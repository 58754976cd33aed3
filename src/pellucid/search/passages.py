"""The sentence of a passage that answers a question best."""

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


def best_sentence(embedder: Embedder, question: str, passage: str) -> tuple[int, int]:
    """Where the sentence is whose vector is nearest to the question's; (0, 0) if the passage has no sentence."""
    places = sentences(passage)
    if not places:
        return 0, 0
    vectors = embedder.embed_documents([passage[start:end] for start, end in places])
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ embedder.embed_query(question) / np.maximum(lengths, 1e-12)
    return places[int(cosines.argmax())]
