"""LlamaIndex with Pellucid in the place of its SentenceTransformerRerank: ``pip install . llama-index-core``."""

from __future__ import annotations

from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from passages import COUNT, MODEL, PASSAGES, QUESTION
from pydantic import PrivateAttr

from pellucid import Reranker


class PellucidRerank(BaseNodePostprocessor):
    """Keeps the nodes that answer the query best. Options that it does not know, such as ``dtype``, are Reranker's."""

    model: str
    top_n: int = 2

    _reranker: Reranker = PrivateAttr()

    def __init__(self, model: str, top_n: int = 2, **options: Any) -> None:
        super().__init__(model=model, top_n=top_n)
        self._reranker = Reranker(model, **options)

    @classmethod
    def class_name(cls) -> str:
        return "PellucidRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("PellucidRerank needs the query: pass query_str= or query_bundle=.")
        texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        ranked = self._reranker.rank(query_bundle.query_str, texts, self.top_n)
        return [NodeWithScore(node=nodes[best.index].node, score=best.score) for best in ranked]


def main(model_name: str = MODEL) -> list[str]:
    """Return the best passages, best first."""
    nodes = [NodeWithScore(node=TextNode(text=passage)) for passage in PASSAGES]
    best = PellucidRerank(model_name, top_n=COUNT).postprocess_nodes(nodes, query_str=QUESTION)
    return [node.text for node in best]


if __name__ == "__main__":
    print(*main(), sep="\n")
