"""Finding things in one's own files: chunks of them, their vectors on disk, and questions."""
