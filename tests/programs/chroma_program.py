"""Chroma: a collection with its own embedding function for sentence-transformers."""

from __future__ import annotations

import json
import sys

import chromadb
from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

from tests.programs.texts import QUERY, TEXTS

function = SentenceTransformerEmbeddingFunction(sys.argv[1], normalize_embeddings=True)
collection = chromadb.EphemeralClient().create_collection("texts", embedding_function=function)
collection.add(ids=[str(number) for number in range(len(TEXTS))], documents=TEXTS)
found = collection.query(query_texts=[QUERY, "a galaxy"], n_results=4)
print(json.dumps({"ids": found["ids"], "distances": found["distances"]}))
