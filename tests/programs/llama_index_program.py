"""LlamaIndex: an index in memory, with its class for models of Hugging Face."""

from __future__ import annotations

import json
import sys

from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

from tests.programs.texts import QUERY, TEXTS

embedding = HuggingFaceEmbedding(model_name=sys.argv[1], device="cpu")
nodes = [TextNode(text=text, id_=str(number)) for number, text in enumerate(TEXTS)]
found = VectorStoreIndex(nodes, embed_model=embedding).as_retriever(similarity_top_k=4).retrieve(QUERY)
results = {
    "ids": [each.node_id for each in found],
    "scores": [each.score for each in found],
    "length": embedding.max_length,
    "query": embedding.get_query_embedding(QUERY)[:8],
}
print(json.dumps(results))
