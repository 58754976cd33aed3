from __future__ import annotations

import asyncio

import pytest

from pellucid.errors import InputError
from tests.integrations import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_llama_index(folder, embedder):
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import TextNode

    from pellucid.integrations.llama_index import PellucidEmbedding

    embedding = PellucidEmbedding(folder, {"threads": 1})
    expected = embedder.embed_documents(TEXTS).tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == expected
    assert PellucidEmbedding.from_dict(embedding.to_dict()).options == {"threads": 1}
    assert embedding.get_text_embedding(TEXTS[1]) == expected[1]
    assert embedding.get_query_embedding("a dog") == embedder.embed_query("a dog").tolist()
    assert asyncio.run(embedding.aget_text_embedding_batch(TEXTS)) == expected
    assert asyncio.run(embedding.aget_query_embedding("a dog")) == embedder.embed_query("a dog").tolist()
    nodes = [TextNode(text=text, id_=str(number)) for number, text in enumerate(TEXTS)]
    found = VectorStoreIndex(nodes, embed_model=embedding).as_retriever(similarity_top_k=3).retrieve("a dog")
    assert [int(each.node_id) for each in found] == [each.index for each in embedder.most_similar("a dog", TEXTS)]


def test_llama_index_reranks(reranker_folder, ranks):
    from llama_index.core.schema import NodeWithScore, TextNode

    from pellucid.integrations.llama_index import PellucidRerank

    nodes = [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]
    reranker = PellucidRerank(reranker_folder, top_n=2)
    found = reranker.postprocess_nodes(nodes, query_str="a cat")
    assert [(node.text, node.score) for node in found] == [(TEXTS[index], score) for index, score in ranks[:2]]
    assert nodes[0].score == 0.5
    with pytest.raises(InputError, match="needs the query"):
        reranker.postprocess_nodes(nodes)
