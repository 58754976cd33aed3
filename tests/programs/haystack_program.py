"""Haystack: documents and a query embedded, searched and put in order by its components for sentence-transformers."""

from __future__ import annotations

import json
import sys

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import ComponentDevice
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
    SentenceTransformersTextEmbedder,
)

from tests.programs.texts import QUERY, TEXTS

device = ComponentDevice.from_str("cpu")
store = InMemoryDocumentStore()
embedder = SentenceTransformersDocumentEmbedder(model=sys.argv[1], device=device, progress_bar=False)
if hasattr(embedder, "warm_up"):
    embedder.warm_up()
documents = [Document(id=str(number), content=text) for number, text in enumerate(TEXTS)]
store.write_documents(embedder.run(documents)["documents"])
pipeline = Pipeline()
pipeline.add_component(
    "embedder", SentenceTransformersTextEmbedder(model=sys.argv[1], device=device, progress_bar=False)
)
pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=4))
pipeline.connect("embedder.embedding", "retriever.query_embedding")
found = pipeline.run({"embedder": {"text": QUERY}})["retriever"]["documents"]
print(json.dumps({"ids": [each.id for each in found], "scores": [each.score for each in found]}))
