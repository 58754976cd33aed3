"""Texts to tokens: what a text is, how it is cut, and how much of it is read."""
