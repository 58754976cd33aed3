"""Pellucid inside other libraries."""

TEXTS = ["the cat", "the cat sat on the mat", "A dog, a cat!"]
