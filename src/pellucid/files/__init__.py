"""Whole files or none, folders walked, work done ahead of its turn, progress."""
