"""One process that serves vectors to any number of clients, over APIs that they already speak.

::

    bytes ─ gate ─▶ request ─ routes ─▶ texts ─ service ─▶ tokens ─ queue ─▶ engine ─▶ vectors ─ routes ─▶ bytes
            key, limits, id            tokenizer           many requests, one call

The event loop does short work itself. Long work runs in threads: each model has one for its engine, which takes
requests from the model's queue, and all models share one each for tokenizing, for parsing and writing JSON, for making
views, and for loading. All requests share one memory budget (``core.budget``). A connection (``http.protocol``) takes
memory from it for the bytes that it receives, and a request takes memory for its work and its response.
"""
