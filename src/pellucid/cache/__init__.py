"""Vectors kept on disk, and the look-up of a call."""
