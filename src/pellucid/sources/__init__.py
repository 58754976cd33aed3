"""Where a model's files come from: a folder, the Hugging Face cache, the Hub, or the Python package index.

``resolve.resolve`` is the one door; each source is a file beside it.
"""
