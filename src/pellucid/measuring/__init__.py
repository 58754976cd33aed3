"""Models in figures, on this machine: how large, how fast, and how far they agree on which texts are near."""
