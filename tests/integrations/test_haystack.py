from __future__ import annotations

import pytest

from tests.integrations import TEXTS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def test_haystack(folder, embedder, reranker_folder, ranks):
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from pellucid.integrations.haystack import PellucidDocumentEmbedder, PellucidRanker, PellucidTextEmbedder

    documents = [Document(id=str(number), content=text, meta={"by": "me"}) for number, text in enumerate(TEXTS)]
    embedded = PellucidDocumentEmbedder(folder, meta_fields_to_embed=["by"]).run(documents)["documents"]
    expected = embedder.embed_documents([f"me\n{text}" for text in TEXTS]).tolist()
    assert [each.embedding for each in embedded] == expected
    assert documents[0].embedding is None
    store = InMemoryDocumentStore()
    store.write_documents(PellucidDocumentEmbedder(folder).run(documents)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("embedder", PellucidTextEmbedder(folder))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=3))
    pipeline.add_component("ranker", PellucidRanker(reranker_folder, top_k=2))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    pipeline.connect("retriever", "ranker.documents")
    pipeline = Pipeline.loads(pipeline.dumps()) if "store" not in pipeline.dumps() else pipeline
    found = pipeline.run({"embedder": {"text": "a cat"}, "ranker": {"query": "a cat"}})["ranker"]["documents"]
    assert [(int(each.id), each.score) for each in found] == ranks[:2]
    ranker = PellucidRanker.from_dict(PellucidRanker(reranker_folder, score_threshold=ranks[0][1]).to_dict())
    assert [int(each.id) for each in ranker.run("a cat", documents)["documents"]] == [ranks[0][0]]


@pytest.mark.parametrize("kind", ["PellucidTextEmbedder", "PellucidDocumentEmbedder", "PellucidRanker"])
def test_haystack_saves_options_beside_other_parameters(kind):
    from pellucid.integrations import haystack

    create = getattr(haystack, kind)
    saved = create("m", dtype="int8", threads=1).to_dict()
    assert saved["init_parameters"].items() >= {"model": "m", "dtype": "int8", "threads": 1}.items()
    again = create.from_dict(saved)
    assert again.options == {"dtype": "int8", "threads": 1}
    assert again.to_dict() == saved
    with pytest.raises(TypeError, match=r"has no option 'dtipe'\. Did you mean dtype\?"):
        create("m", dtipe="int8")


def test_haystack_gives_the_options_to_the_model(folder):
    from haystack import Document

    from pellucid import Embedder
    from pellucid.integrations.haystack import PellucidDocumentEmbedder, PellucidTextEmbedder

    expected = Embedder(folder, dtype="int8")
    found = PellucidTextEmbedder(folder, dtype="int8").run("a dog")["embedding"]
    assert found == expected.embed_query("a dog").tolist()
    (document,) = PellucidDocumentEmbedder(folder, dtype="int8").run([Document(content="a dog")])["documents"]
    assert document.embedding == expected.embed_documents(["a dog"])[0].tolist()
    assert found != PellucidTextEmbedder(folder).run("a dog")["embedding"]
