"""What must hold for any input at all; see docs/testing.md."""
