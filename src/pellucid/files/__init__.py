"""Files on disk: written whole or not at all, locked, found under folders; and work done ahead of its turn."""
