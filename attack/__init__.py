"""Thousands of hostile inputs. Each runs in its own process, with limits on time and memory. See docs/testing.md."""
