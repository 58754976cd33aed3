"""What people do with vectors every day: compare them, find the nearest, remove near duplicates, group them.

::

    checks.py       arrays that are vectors, scaled to unit length
    blocks.py       the cosines of many vectors, a block at a time
    similarity.py   the cosines of all pairs; the nearest vectors
    duplicates.py   near duplicates
    clusters.py     groups of similar vectors
    k_means.py      the arithmetic of k-means
    words.py        the words that tell a group's texts from the others

These functions take arrays from anywhere and return arrays. Cosines, nearest vectors, near duplicates and clusters by a
threshold are exact; k-means starts from a sample. All but the full table of cosines need little memory beyond the
vectors. For more than a few hundred thousand vectors, or for an index that lives on disk, use a library made for that:
FAISS, usearch, or scikit-learn's clustering.
"""
