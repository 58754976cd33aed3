"""Hostile inputs, thousands of them, each in a process of its own under a bound; see docs/testing.md."""
