"""The engines: token ids in, token vectors out. ``base`` is the contract, and each engine is a file next to it."""
