"""Traces, comparisons and maps as a page, a picture, or lines in a terminal."""
