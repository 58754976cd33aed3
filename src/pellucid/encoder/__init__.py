"""From tokens to results: a loaded model, and what one call asks of it."""
