"""A look inside: how a text becomes its vector, and why two vectors are close."""
