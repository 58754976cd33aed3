from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

from pellucid import Embedder, Reranker
from pellucid.errors import InputError
from tests.integrations import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_llama_index(folder, embedder):
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import TextNode

    from pellucid.integrations.llama_index import PellucidEmbedding

    embedding = PellucidEmbedding(folder, threads=1)
    expected = embedder.embed_documents(TEXTS).tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == expected
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


COPIES = {
    "dict": lambda each: type(each).from_dict(each.to_dict()),
    "json": lambda each: type(each).from_json(each.to_json()),
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),  # noqa: S301  our own
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "model copy": lambda each: each.model_copy(),
}


@pytest.mark.parametrize("make_copy", COPIES.values(), ids=COPIES)
def test_a_copy_for_llama_index_keeps_its_options(folder, reranker_folder, make_copy):
    from llama_index.core.schema import NodeWithScore, TextNode

    from pellucid.integrations.llama_index import PellucidEmbedding, PellucidRerank

    embedding = make_copy(PellucidEmbedding(folder, embed_batch_size=7, dtype="int8"))
    assert embedding.embed_batch_size == 7
    vector = embedding.get_query_embedding("a dog")
    assert vector == Embedder(folder, dtype="int8").embed_query("a dog").tolist()
    assert vector != Embedder(folder).embed_query("a dog").tolist()
    reranker = make_copy(PellucidRerank(reranker_folder, top_n=1, activation="identity"))
    (best,) = reranker.postprocess_nodes([NodeWithScore(node=TextNode(text=text)) for text in TEXTS], query_str="a cat")
    (expected,) = Reranker(reranker_folder, activation="identity").rank("a cat", TEXTS, 1)
    assert best.score == expected.score


def test_llama_index_saves_options_beside_its_own_fields(folder):
    from pellucid.integrations.llama_index import PellucidEmbedding

    saved = PellucidEmbedding(folder, dtype="int8", threads=1, num_workers=3).to_dict()
    assert saved.items() >= {"model_name": folder, "dtype": "int8", "threads": 1, "num_workers": 3}.items()


def test_llama_index_refuses_unknown_options(folder, reranker_folder):
    from pellucid.integrations.llama_index import PellucidEmbedding, PellucidRerank

    for create, model in ((PellucidEmbedding, folder), (PellucidRerank, reranker_folder)):
        with pytest.raises(TypeError, match=r"has no option 'dtipe'\. Did you mean dtype\?"):
            create(model, dtipe="int8")
