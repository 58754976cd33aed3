"""Many texts in the plane, so that one sees which lie together, and how alike each is to each.

The plane is that of the two directions in which the vectors differ most (PCA; Pearson, 1901), which keeps as much of
their distances as two dimensions can; or UMAP's (McInnes et al., 2018), which keeps neighbours together and says
nothing about distances. Colours are clusters (k-means; Lloyd, 1982) of the vectors themselves, not of the plane; or
given labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from pellucid.embedder import Embedder
from pellucid.errors import MissingExtraError, OptionError
from pellucid.explain.shares import Float64
from pellucid.explain.trace import shown_name
from pellucid.types import Float32, Int64

Method = Literal["pca", "umap"]
SIMILARITY_TEXTS = 300
"""Up to so many texts, how alike each is to each is shown too."""
_MOST_CLUSTERS = 8
_ROUNDS, _RUNS = 50, 8
_SILHOUETTE_TEXTS = 1000  # It takes all their distances; the first are enough to choose by.


@dataclass(frozen=True, eq=False)
class TextMap:
    """Texts in the plane.

    Attributes:
        model_name: whose vectors they have.
        texts: in the order in which they were given.
        plane: where each is, ``float64[n, 2]``.
        labels: the name of each one's colour: what was given, or "cluster 1", ….
        method: "pca" or "umap".
        kept: how much of the vectors' variance the plane has, from 0 to 1; None for UMAP, which has no such number.
        similarity: the cosines, ``float32[n, n]``; None for more than ``SIMILARITY_TEXTS`` texts.
    """

    model_name: str
    texts: tuple[str, ...]
    plane: Float64
    labels: tuple[str, ...]
    method: Method
    kept: float | None
    similarity: Float32 | None

    @property
    def sentence(self) -> str:
        """What the picture shows."""
        if self.kept is None:
            return "Texts that are near each other here have near vectors; distances between groups mean nothing."
        return (
            f"The two directions in which the vectors differ most; they have {self.kept:.0%} of all their differences."
        )

    def order(self) -> Int64:
        """The texts by label and, within a label, by their place from left to right: ``int64[n]``."""
        names = sorted(set(self.labels))
        number = np.array([names.index(label) for label in self.labels], dtype=np.int64)
        return np.lexsort((self.plane[:, 0], number))

    def save(self, path: Path) -> None:
        """Write a page (``.html``) or a picture (``.png``, ``.svg``).

        Raises:
            OptionError: another ending.
            MissingExtraError: a picture, and the extra ``plot`` is not installed.
        """
        writers: dict[str, Callable[[TextMap, Path], None]] = {
            ".html": _save_page,
            ".png": _save_plot,
            ".svg": _save_plot,
        }
        if path.suffix.lower() not in writers:
            raise OptionError(f"cannot write a map to {path.name!r}; the name must end in {', '.join(writers)}.")
        writers[path.suffix.lower()](self, path)


def text_map(
    embedder: Embedder, texts: Sequence[str], *, labels: Sequence[str] | None = None, method: str = "pca"
) -> TextMap:
    """Put texts in the plane.

    Args:
        embedder: the model.
        texts: any number of them.
        labels: one for each text; without them, clusters are looked for.
        method: "pca" or "umap".

    Raises:
        OptionError: an unknown method, or another number of labels than of texts.
        MissingExtraError: UMAP, and the extra ``umap`` is not installed.
    """
    if method not in ("pca", "umap"):
        raise OptionError(f"method={method!r} is not one of 'pca', 'umap'.")
    if labels is not None and len(labels) != len(texts):
        raise OptionError(f"there are {len(labels)} labels for {len(texts)} texts; there must be one for each.")
    vectors = embedder.embed_documents(list(texts), normalize=None if embedder.spec.unit_length else True)
    plane, kept = pca(vectors) if method == "pca" else (_umap(vectors), None)
    if labels is None:
        labels = [f"cluster {number + 1}" for number in clusters(vectors)]
    return TextMap(
        model_name=shown_name(embedder),
        texts=tuple(texts),
        plane=plane,
        labels=tuple(labels),
        method="pca" if kept is not None else "umap",
        kept=kept,
        similarity=vectors @ vectors.T if len(texts) <= SIMILARITY_TEXTS else None,
    )


def pca(vectors: Float32) -> tuple[Float64, float]:
    """The two directions of most variance.

    Args:
        vectors: ``float32[n, d]``.

    Returns:
        The places, ``float64[n, 2]``, and the share of the variance that they have. Of the two signs that each
        direction can have, the one that makes its largest number positive is taken: the same vectors, the same picture.
    """
    centred = vectors.astype(np.float64) - (vectors.mean(axis=0, dtype=np.float64) if len(vectors) else 0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(vectors), 2))
    count = min(2, len(sizes))
    plane[:, :count] = left[:, :count] * sizes[:count]
    if len(plane):
        largest = np.take_along_axis(plane, np.abs(plane).argmax(axis=0)[None], axis=0)
        plane *= np.where(largest < 0, -1.0, 1.0)
    total = float((sizes**2).sum())
    return plane, float((sizes[:count] ** 2).sum()) / total if total > 0 else 1.0


def clusters(vectors: Float32) -> Int64:
    """Groups of near vectors, numbered from 0 in the order in which they first occur: ``int64[n]``.

    k-means, for each number of groups up to eight, because more colours cannot be told apart. The number that is taken
    is the one whose groups stand out most, by the mean silhouette (Rousseeuw, 1987). Seeds are fixed: the same vectors,
    the same groups.
    """
    points = vectors.astype(np.float64)
    most = min(_MOST_CLUSTERS, len(np.unique(vectors, axis=0)), len(vectors) - 1)
    best = np.zeros(len(points), dtype=np.int64)
    clearest = -1.0
    for count in range(2, most + 1):
        groups = _k_means(points, count)
        clear = _silhouette(points[:_SILHOUETTE_TEXTS], groups[:_SILHOUETTE_TEXTS])
        if clear > clearest:
            best, clearest = groups, clear
    _, first = np.unique(best, return_index=True)
    number_of = {int(best[place]): number for number, place in enumerate(sorted(first))}
    return np.array([number_of[int(group)] for group in best], dtype=np.int64)


def _k_means(points: Float64, count: int) -> Int64:
    """The tightest of several runs, each from centres far apart (k-means++; Arthur and Vassilvitskii, 2007)."""
    best, tightest = np.zeros(len(points), dtype=np.int64), np.inf
    for seed in range(_RUNS):
        rng = np.random.default_rng(seed)
        centres = points[rng.integers(len(points))][None]
        while len(centres) < count:
            nearest = _squared_distances(points, centres).min(axis=1)
            centres = np.vstack([centres, points[rng.choice(len(points), p=nearest / nearest.sum())]])
        groups = np.zeros(len(points), dtype=np.int64)
        for _ in range(_ROUNDS):
            before, groups = groups, _squared_distances(points, centres).argmin(axis=1)
            for k in set(groups.tolist()):
                centres[k] = points[groups == k].mean(axis=0)
            if (before == groups).all():
                break
        spread = float(_squared_distances(points, centres).min(axis=1).sum())
        if spread < tightest:
            best, tightest = groups, spread
    return best


def _silhouette(points: Float64, groups: Int64) -> float:
    """From -1 to 1: how much nearer points are to their own group than to the next."""
    distances = np.sqrt(_squared_distances(points, points))
    names = np.unique(groups)
    if len(names) < 2:  # noqa: PLR2004
        return -1.0
    members = groups == names[:, None]  # [groups, n]
    sums = members @ distances
    own = members.argmax(axis=0)
    places = np.arange(len(points))
    sizes = members.sum(axis=1)
    within = sums[own, places] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes[:, None]
    means[own, places] = np.inf
    nearest = means.min(axis=0)
    widths = (nearest - within) / np.maximum(np.maximum(nearest, within), 1e-12)
    return float(np.where(sizes[own] > 1, widths, 0).mean())


def _squared_distances(points: Float64, centres: Float64) -> Float64:
    squares = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
    distances: Float64 = np.maximum(squares, 0)
    return distances


def _umap(vectors: Float32) -> Float64:
    try:
        import umap
    except ImportError:
        raise MissingExtraError("umap-learn", "umap") from None

    neighbours = min(15, len(vectors) - 1)
    if neighbours < 2:  # noqa: PLR2004
        return np.zeros((len(vectors), 2))
    placed = umap.UMAP(n_neighbors=neighbours, metric="cosine", random_state=0, n_jobs=1, init="random").fit_transform(
        vectors
    )
    return np.asarray(placed, dtype=np.float64)


def _save_page(text_map: TextMap, path: Path) -> None:
    """One page, which needs nothing but itself. Texts go in as JSON that no tag can end, and are shown as text."""
    order = text_map.order()
    data = {
        "model": text_map.model_name,
        "sentence": text_map.sentence,
        "texts": [text_map.texts[place] for place in order],
        "labels": [text_map.labels[place] for place in order],
        "plane": text_map.plane[order].round(5).tolist(),
        "similarity": None
        if text_map.similarity is None
        else text_map.similarity[np.ix_(order, order)].round(3).tolist(),
    }
    told = json.dumps(data, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        told = told.replace(character, f"\\u{ord(character):04x}")
    page = resources.files("pellucid.explain").joinpath("map.html").read_text(encoding="utf-8")
    path.write_text(page.replace("DATA", told, 1), encoding="utf-8")


def _save_plot(text_map: TextMap, path: Path) -> None:
    from pellucid.explain.plot import draw_map

    draw_map(text_map, path)
