"""One process that serves vectors to any number of clients, over the APIs that they already speak.

::

    bytes ─ gate ─▶ request ─ routes ─▶ texts ─ service ─▶ tokens ─ queue ─▶ engine ─▶ vectors ─ routes ─▶ bytes
            key, limits, id            tokenizer           many requests, one call

The event loop does what is short. Long work has threads: one for each model's arithmetic, which takes from its queue,
and one each for tokenizing, for parsing and writing JSON, for views, and for loading. A connection (``protocol``) takes
memory for what it receives from one budget (``budget``), and so does a request for its work and its answer.
"""
