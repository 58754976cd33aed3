"""Clusters of similar vectors: a given number of them, or as many as a threshold gives."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.checks import check_integer
from pellucid.errors import InputError, OptionError, TextTypeError, plural
from pellucid.reprs import short_text
from pellucid.types import Float32, Int64
from pellucid.vectors.blocks import blocks, cosine_blocks
from pellucid.vectors.checks import unit_vectors
from pellucid.vectors.duplicates import ROUNDING, check_threshold
from pellucid.vectors.k_means import choose_k_means, k_means
from pellucid.vectors.similarity import most_similar_rows
from pellucid.vectors.words import telling_words

_MEMBERS_PER_BLOCK = 8192
_CENTRES_PER_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Cluster:
    """Vectors that are similar to each other.

    Attributes:
        members: the indices of its vectors, ``int64[m]``, in order.
        representative: the index of its most typical vector: the one around which a threshold was applied, or else the
            one with the highest cosine with the mean of all members.
        words: the words that tell its texts from the others, if you gave the texts.
    """

    members: Int64
    representative: int
    words: tuple[str, ...] = ()

    def __len__(self) -> int:
        """The number of its vectors."""
        return len(self.members)

    def __repr__(self) -> str:
        words = f", {short_text(', '.join(self.words), 60)}" if self.words else ""
        return f"Cluster({plural(len(self), 'member')}, representative {self.representative}{words})"


@dataclass(frozen=True, eq=False)
class Clusters:
    """All clusters, the largest first. Iterate over it, or take one by its number.

    Attributes:
        labels: ``int64[n]``: the number of each vector's cluster.
        clusters: the clusters.
    """

    labels: Int64
    clusters: tuple[Cluster, ...]

    def __len__(self) -> int:
        """The number of clusters."""
        return len(self.clusters)

    def __getitem__(self, number: int) -> Cluster:
        """The cluster of this number."""
        return self.clusters[number]

    def __iter__(self) -> Iterator[Cluster]:
        """The clusters, the largest first."""
        return iter(self.clusters)

    def __repr__(self) -> str:
        return f"Clusters({plural(len(self), 'cluster')} of {plural(len(self.labels), 'vector')})"


def cluster(
    vectors: npt.ArrayLike,
    k: int | None = None,
    *,
    threshold: float | None = None,
    texts: Sequence[str] | None = None,
) -> Clusters:
    """Group similar vectors. The measure is the cosine, so the vectors' lengths do not matter.

    With ``k``, k-means divides the vectors into that many clusters. With neither option, k-means tries 2 to 8 clusters,
    and the best separated ones win.

    With ``threshold``, every vector has at least this cosine with the representative of its cluster, and no two
    representatives have it with each other. The vector with the most neighbours within the threshold becomes the first
    representative. Of the vectors that are not near one yet, the one with the most neighbours becomes the next, and so
    on. Then each vector joins the representative that is most similar to it.

    Args:
        vectors: floats, ``[n, d]``.
        k: the number of clusters. You get fewer if fewer vectors differ, and rarely for other reasons.
        threshold: a cosine above 0, up to 1. Many vectors may be alone in their cluster.
        texts: the text of each vector, for the clusters' ``words``.

    Raises:
        InputError: the shape is wrong, a number is not a finite float, or there is not one text for each vector.
        OptionError: both ``k`` and ``threshold`` are given, or one is out of range.

    >>> groups = cluster([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [1.0, -0.1]], k=2)
    >>> groups.labels, groups[0]
    (array([0, 1, 0, 0]), Cluster(3 members, representative 0))
    """
    check_options(k, threshold)
    unit = unit_vectors("vectors", vectors)
    if texts is not None and len(texts) != len(unit):
        counts = f"{plural(len(texts), 'text')} for {plural(len(unit), 'vector')}"
        raise InputError(f"there {'is' if len(texts) == 1 else 'are'} {counts}. Give one text for each vector.")
    for position, text in enumerate(texts or ()):
        if not isinstance(text, str):
            raise TextTypeError(f"text {position} is of type {type(text).__name__}; every text must be a str.")
    if threshold is not None:
        centres = _choose_centres(unit, np.float32(threshold - ROUNDING))
        groups = _join_centres(unit, centres)
        is_centre = np.zeros(len(unit), dtype=bool)
        is_centre[centres] = True
    else:
        is_centre = None
        groups = choose_k_means(unit) if k is None or not len(unit) else k_means(unit, k)
    labels = _largest_first(groups)
    words = telling_words(texts, labels) if texts is not None else [()] * (labels.max(initial=-1) + 1)
    ordered = np.argsort(labels, kind="stable")
    members = np.split(ordered, np.cumsum(np.bincount(labels))[:-1]) if len(labels) else []
    return Clusters(
        labels,
        tuple(
            Cluster(indices, _representative(unit, indices, is_centre), telling)
            for indices, telling in zip(members, words, strict=True)
        ),
    )


def check_options(k: int | None, threshold: float | None) -> None:
    """Refuse options that :func:`cluster` cannot use.

    Raises:
        OptionError: both are given, or one is out of range.
    """
    if k is not None and threshold is not None:
        raise OptionError("give k or threshold, not both.")
    if k is not None:
        check_integer("k", k, 1, sys.maxsize, "of at least 1")
    if threshold is not None:
        check_threshold(threshold)


def _representative(unit: Float32, members: Int64, is_centre: npt.NDArray[np.bool_] | None) -> int:
    """The member that is a centre, or else the one with the highest cosine with the members' mean."""
    if is_centre is not None:
        return int(members[is_centre[members]][0])
    mean = np.zeros(unit.shape[1])
    for rows in blocks(len(members), _MEMBERS_PER_BLOCK):
        mean += unit[members[rows]].sum(axis=0, dtype=np.float64)
    cosines = [unit[members[rows]] @ mean for rows in blocks(len(members), _MEMBERS_PER_BLOCK)]
    return int(members[np.concatenate(cosines).argmax()])


def _largest_first(groups: Int64) -> Int64:
    """Number the groups again, the largest first. Of equal groups, the one with the first vector comes first."""
    _, first, numbers, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    return np.argsort(order)[numbers]


def _choose_centres(unit: Float32, limit: np.float32) -> Int64:
    """Choose centres: every vector reaches ``limit`` with one, and no two centres reach it with each other.

    Returns:
        The indices of the centres, ``int64[c]``, in order.
    """
    neighbours = np.zeros(len(unit), dtype=np.int64)
    for rows, _, cosines in cosine_blocks(unit, unit):
        neighbours[rows] += np.count_nonzero(cosines >= limit, axis=1)
    alone = neighbours <= 1
    centres = np.flatnonzero(alone).tolist()
    is_free = ~alone
    order = np.argsort(-neighbours, kind="stable")
    order = order[~alone[order]]
    while len(order := order[is_free[order]]):
        candidates, order = order[:_CENTRES_PER_BLOCK], order[_CENTRES_PER_BLOCK:]
        for candidate, is_near in zip(candidates.tolist(), _reaches(unit[candidates], unit, limit), strict=True):
            if is_free[candidate]:
                centres.append(candidate)
                is_free &= ~is_near
                is_free[candidate] = False
    return np.array(sorted(centres), dtype=np.int64)


def _reaches(candidates: Float32, unit: Float32, limit: np.float32) -> npt.NDArray[np.bool_]:
    """Which vectors reach ``limit`` with each candidate: ``bool[c, n]``."""
    return np.concatenate([cosines >= limit for _, _, cosines in cosine_blocks(candidates, unit)], axis=1)


def _join_centres(unit: Float32, centres: Int64) -> Int64:
    """The most similar centre of each vector, ``int64[n]``. A centre joins itself."""
    _, groups = most_similar_rows(unit, unit[centres])
    groups[centres] = np.arange(len(centres))
    return groups
