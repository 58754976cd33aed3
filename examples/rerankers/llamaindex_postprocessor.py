"""LlamaIndex with Pellucid in the place of its SentenceTransformerRerank: ``pip install . llama-index-core``."""

from __future__ import annotations

from llama_index.core.schema import NodeWithScore, TextNode
from passages import COUNT, MODEL, PASSAGES, QUESTION

from pellucid.integrations.llama_index import PellucidRerank


def main(model_name: str = MODEL) -> list[str]:
    """Return the best passages, best first."""
    nodes = [NodeWithScore(node=TextNode(text=passage)) for passage in PASSAGES]
    best = PellucidRerank(model_name, top_n=COUNT).postprocess_nodes(nodes, query_str=QUESTION)
    return [node.text for node in best]


if __name__ == "__main__":
    print(*main(), sep="\n")
