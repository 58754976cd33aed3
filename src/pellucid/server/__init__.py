"""One process that serves models to any number of clients, over APIs that they already speak.

::

    bytes ─ gate ─▶ request ─ routes ─▶ texts ─ service ─▶ tokens ─ queue ─▶ engine ─▶ results ─ routes ─▶ bytes
            key, limits, id            tokenizer           many requests, one call

A model's kind decides which routes it answers: an embedder gives vectors, a sparse embedder sparse vectors, a
multi-vector embedder a vector for each token, a reranker and a classifier scores. To the queue they are the same. A
request there is tokens and a ``Finish``, which says what becomes of the token vectors.

The event loop does short work itself. Long work runs in threads: each model has one for its engine, which takes
requests from the model's queue, and all models share one each for tokenizing, for parsing and writing JSON, for making
views, and for loading. All requests share one memory budget (``core.budget``). A connection (``http.protocol``) takes
memory from it for the bytes that it receives, and a request takes memory for its work and its response.
"""
