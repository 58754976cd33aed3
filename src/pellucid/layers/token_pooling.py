"""Fewer vectors for a text: similar ones are merged (Clavié et al., "Reducing the Footprint of Multi-Vector Retrieval
with Minimal Performance Impact via Token Pooling", 2024).

The vectors are clustered by their cosine distance with Ward's method (Ward, 1963), and each cluster becomes its mean.
Which vectors are merged, and in which order the clusters come, is as in SciPy: ``linkage(method="ward")``, and then
``fcluster(criterion="maxclust")``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.layers.norms import normalize
from pellucid.reprs import short_repr
from pellucid.types import Float32, Int64, MultiVectors


@dataclass(frozen=True)
class TokenPooling:
    """Merges the vectors of each text.

    Attributes:
        factor: of ``n`` vectors, ``n / factor`` stay, rounded down.
        protected: how many vectors, the first ones, are never merged.
        normalize: True if all vectors are then scaled to length 1.
    """

    factor: float
    protected: int = 1
    normalize: bool = True

    __repr__ = short_repr

    def __call__(self, texts: MultiVectors, /) -> MultiVectors:
        """The texts with fewer vectors each."""
        if self.factor == 1 or not len(texts):
            return MultiVectors(normalize(texts.vectors), texts.offsets) if self.normalize else texts
        pooled = MultiVectors.concatenate([self._merge(vectors) for vectors in texts])
        return MultiVectors(normalize(pooled.vectors), pooled.offsets) if self.normalize else pooled

    def _merge(self, vectors: Float32) -> Float32:
        rest = vectors[self.protected :]
        count = max(int(len(rest) // self.factor), 1)
        if count >= len(rest):
            return vectors
        distances = np.clip(1 - rest @ rest.T, 0, 2)
        clusters = ward_clusters(distances, count)
        means = np.zeros((clusters.max() + 1, rest.shape[1]), dtype=np.float32)
        np.add.at(means, clusters, rest)
        means /= np.bincount(clusters).astype(np.float32)[:, None]
        return np.concatenate([vectors[: self.protected], means])


def ward_clusters(distances: Float32, count: int) -> Int64:
    """Put things into at most ``count`` clusters by Ward's method.

    Args:
        distances: ``float32[n, n]``, with at least two things. Only what is above the diagonal counts.
        count: how many clusters there may be, at least 1 and less than ``n``. If some distances are equal, there may
            be fewer.

    Returns:
        ``int64[n]``, the cluster of each thing, counted from 0. They are in the order of the tree of merges, from left
        to right; of two sides of a merge, a single thing comes after a merge.
    """
    n = len(distances)
    merges = _merges(distances)
    limit = merges[n - 1 - count][0]  # After this merge, `count` clusters are left. Equal heights are merged, too.
    clusters = np.empty(n, dtype=np.int64)
    found = 0
    waiting: list[tuple[int, int | None]] = [(2 * n - 2, None)]  # A node of the tree, and its cluster if it has one.
    while waiting:
        node, cluster = waiting.pop()
        if cluster is None and (node < n or merges[node - n][0] <= limit):
            cluster, found = found, found + 1
        if node < n and cluster is not None:
            clusters[node] = cluster
        else:
            _, *sides = merges[node - n]
            things = [side for side in sides if side < n]
            ordered = [*(side for side in sides if side >= n), *things]
            waiting += [(side, cluster) for side in reversed(ordered)]
    return clusters


def _merges(distances: Float32) -> list[tuple[float, int, int]]:
    """The merges, lowest first: the height of each, and its two nodes. Things are the nodes 0 to ``n - 1``, and merge
    ``i`` makes the node ``n + i``.

    The nearest neighbours are found by following a chain of them (Murtagh, "A Survey of Recent Advances in Hierarchical
    Clustering Algorithms", 1983), and distances are updated by the formula of Lance and Williams (1967).
    """
    n = len(distances)
    upper = np.triu(distances.astype(np.float64), 1)
    between = upper + upper.T
    np.fill_diagonal(between, np.inf)
    sizes = np.ones(n)
    chain: list[int] = []
    found = []
    for _ in range(n - 1):
        if not chain:
            chain.append(int(np.flatnonzero(sizes)[0]))
        while True:
            last = chain[-1]
            nearest = int(between[last].argmin())
            if len(chain) > 1 and between[last, chain[-2]] <= between[last, nearest]:
                break  # Both are each other's nearest neighbour.
            chain.append(nearest)
        a, b = sorted((chain.pop(), chain.pop()))
        height = between[a, b]
        found.append((float(height), a, b))
        others = np.flatnonzero(sizes)
        others = others[(others != a) & (others != b)]
        size, to_a, to_b = sizes[others], between[others, a], between[others, b]
        part = 1 / (sizes[a] + sizes[b] + size)
        # In SciPy's order, so that ties stay ties.
        squares = (size + sizes[a]) * part * to_a * to_a + (size + sizes[b]) * part * to_b * to_b
        squares -= size * part * height * height
        between[others, b] = between[b, others] = np.sqrt(np.maximum(squares, 0))
        sizes[b] += sizes[a]
        sizes[a] = 0
        between[a] = between[:, a] = np.inf
    found.sort(key=lambda merge: merge[0])  # A stable sort, as in SciPy.
    return _as_nodes(found, n)


def _as_nodes(merges: list[tuple[float, int, int]], n: int) -> list[tuple[float, int, int]]:
    """Name the sides of merges by their nodes, and no more by a thing in each. The smaller node is on the left."""
    parents = list(range(2 * n - 1))

    def node_of(thing: int) -> int:
        root = thing
        while parents[root] != root:
            root = parents[root]
        while parents[thing] != root:
            parents[thing], thing = root, parents[thing]
        return root

    named = []
    for number, (height, a, b) in enumerate(merges):
        left, right = sorted((node_of(a), node_of(b)))
        parents[left] = parents[right] = n + number
        named.append((height, left, right))
    return named
