"""Traces, comparisons and maps as HTML pages and pictures."""
