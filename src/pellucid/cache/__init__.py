"""Keep vectors on disk, and find the texts of a call among them."""
