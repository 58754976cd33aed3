"""Pellucid inside other libraries: one short file for each.

::

    from pellucid.integrations.llama_index import PellucidEmbedding, PellucidRerank
    from pellucid.integrations.haystack import PellucidDocumentEmbedder, PellucidRanker, PellucidTextEmbedder
    from pellucid.integrations.chroma import PellucidEmbeddingFunction
    from pellucid.integrations.lancedb import PellucidEmbeddings
    from pellucid.integrations.scikit_learn import TextVectorizer

Each needs the library that it is for, and nothing else. Queries get the model's prompt for queries, and documents the
one for documents.
"""
