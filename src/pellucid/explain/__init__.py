"""Looking inside: what happens to a text on its way to a vector, and why two vectors are close."""
