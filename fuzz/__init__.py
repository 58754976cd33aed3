"""Fuzzing: invariants that must hold for any input. See docs/testing.md."""
