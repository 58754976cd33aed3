"""Rows of Parquet, JSON lines, CSV and plain text, for batch and search."""
