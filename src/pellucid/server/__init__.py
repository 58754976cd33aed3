"""One process that serves models: the page to look inside, and the views that it shows."""
