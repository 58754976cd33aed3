"""One process that serves vectors to any number of clients, over the APIs that they already speak.

::

    bytes ─ gate ─▶ request ─ routes ─▶ texts ─ service ─▶ tokens ─ queue ─▶ engine ─▶ vectors ─ routes ─▶ bytes
            key, limits, id            tokenizer           many requests, one call

The event loop has everything but the arithmetic; each model has one thread for that, which takes from its queue.
"""
