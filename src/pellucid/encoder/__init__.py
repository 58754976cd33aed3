"""A loaded model, and how texts go through it."""
