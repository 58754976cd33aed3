"""Many texts in the plane, so that one sees which lie together, and how alike each is to each.

The plane is that of the two directions in which the vectors differ most (PCA; Pearson, 1901), which keeps as much of
their distances as two dimensions can; or UMAP's (McInnes et al., 2018), which keeps neighbours together and says
nothing about distances. Colours are clusters of the vectors themselves, not of the plane; or given labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, choose_prompt
from pellucid.errors import MissingExtraError, OptionError
from pellucid.explain.clusters import MOST, clusters
from pellucid.explain.shares import Float64
from pellucid.explain.trace import shown_name
from pellucid.layers.finish import Pool
from pellucid.text.checks import as_list
from pellucid.types import Float32, Int64

Method = Literal["pca", "umap"]
MOST_TEXTS = 50_000
"""Finding the plane takes some 40 bytes for each number of their vectors, and the page holds every text."""
SIMILARITY_TEXTS = 300
"""Up to so many texts, how alike each is to each is shown too."""
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a00", "#777777")
"""Eight that can be told apart with any kind of colour vision (Okabe and Ito, 2008), darker where they were light."""
ENDINGS = (".html", ".png", ".svg")


@dataclass(frozen=True, eq=False)
class TextMap:
    """Texts in the plane.

    Attributes:
        model_name: whose vectors they have.
        texts: in the order in which they were given.
        plane: where each is, ``float64[n, 2]``.
        labels: the name of each one's colour: what was given, or "cluster 1", ….
        clustered: whether they are clusters.
        method: "pca" or "umap".
        kept: how much of the vectors' variance the plane has, from 0 to 1; None for UMAP, which has no such number.
        similarity: the cosines, ``float32[n, n]``; None for more than ``SIMILARITY_TEXTS`` texts.
        cut: which texts were too long for the model, and were read only in part.
        max_tokens: how long a text may be.
    """

    model_name: str
    texts: tuple[str, ...]
    plane: Float64
    labels: tuple[str, ...]
    clustered: bool
    method: Method
    kept: float | None
    similarity: Float32 | None
    cut: frozenset[int]
    max_tokens: int

    @property
    def names(self) -> tuple[str, ...]:
        """The labels that there are, in the order of people: 2 before 10."""
        parts = {label: re.split(r"(\d+)", label) for label in self.labels}
        return tuple(sorted(parts, key=lambda label: [(int(p) if k % 2 else 0, p) for k, p in enumerate(parts[label])]))

    @property
    def sentence(self) -> str:
        """What the picture shows."""
        if self.kept is None:
            return "UMAP: near texts have near vectors. The distances between groups mean nothing."
        return (
            f"The two directions in which the vectors differ most (PCA). They have {self.kept:.0%} of the variance; "
            f"the rest cannot be seen here."
        )

    @property
    def colours(self) -> str:
        """What the colours are."""
        if not self.clustered:
            return "The colours are the labels that were given."
        found = len(self.names)
        if found < 2:  # noqa: PLR2004
            return ""
        return (
            f"The colours are clusters of the whole vectors, not of the plane: k-means with 2 to {MOST} groups, of "
            f"which {found} stand out most (by their silhouette)."
        )

    def order(self) -> Int64:
        """The texts by label and, within a label, by their place from left to right: ``int64[n]``."""
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.lexsort((self.plane[:, 0], np.array([numbers[label] for label in self.labels])))

    def save(self, path: Path) -> None:
        """Write a page (``.html``) or a picture (``.png``, ``.svg``).

        Raises:
            OptionError: another ending, or a place where nothing can be written.
            MissingExtraError: a picture, and the extra ``plot`` is not installed.
        """
        ending = path.suffix.lower()
        if ending not in ENDINGS:
            raise OptionError(f"cannot write a map to {path.name!r}; the name must end in {', '.join(ENDINGS)}.")
        try:
            if ending == ".html":
                from pellucid.explain.render.html import page

                path.write_text(page(self), encoding="utf-8")
            else:
                from pellucid.explain.render.plot import draw_map

                draw_map(self, path)
        except OSError as error:
            raise OptionError(f"{path} cannot be written ({error}).") from error


def text_map(
    encoder: Encoder, texts: Sequence[str], *, labels: Sequence[str] | None = None, method: str = "pca"
) -> TextMap:
    """Put texts in the plane.

    Args:
        encoder: the model.
        texts: any number of them; the model's prompt for documents is put before each.
        labels: one for each text; without them, clusters are looked for.
        method: "pca" or "umap".

    Raises:
        OptionError: an unknown method, too many texts, or another number of labels than of texts.
        MissingExtraError: UMAP, and the extra ``umap`` is not installed.
    """
    if method not in ("pca", "umap"):
        raise OptionError(f"method={method!r} is not one of 'pca', 'umap'.")
    if len(texts) > MOST_TEXTS:
        raise OptionError(f"there are {len(texts):,} texts; a map shows {MOST_TEXTS:,} at most. Take some of them.")
    if labels is not None and len(labels) != len(texts):
        raise OptionError(f"there are {len(labels)} labels for {len(texts)} texts; there must be one for each.")
    prompt = choose_prompt(encoder.spec, DOCUMENT_PROMPTS, None, None)
    tokens, lengths = encoder.tokenizer.tokenize(as_list(texts), prompt)
    finish = Pool(encoder.spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(prompt), normalize=True)
    vectors = encoder.run(tokens, finish)
    finish.check(vectors, lambda row: row)
    cut = frozenset(np.flatnonzero(lengths > encoder.max_tokens).tolist())
    return map_of(encoder, texts, vectors, cut, labels=labels, method=method)


def map_of(
    encoder: Encoder,
    texts: Sequence[str],
    vectors: Float32,
    cut: frozenset[int],
    *,
    labels: Sequence[str] | None = None,
    method: str = "pca",
) -> TextMap:
    """Put texts in the plane whose vectors are there already.

    Args:
        encoder: the model.
        texts: any number of them.
        vectors: theirs, of unit length: ``float32[n, d]``.
        cut: which texts are too long for the model.
        labels: as for :func:`text_map`.
        method: likewise.

    Raises:
        MissingExtraError: UMAP, and the extra ``umap`` is not installed.
    """
    plane, kept = pca(vectors) if method == "pca" else (_umap(vectors), None)
    clustered = labels is None
    if labels is None:
        labels = [f"cluster {number + 1}" for number in clusters(vectors)]
    return TextMap(
        model_name=shown_name(encoder),
        texts=tuple(texts),
        plane=plane,
        labels=tuple(str(label) for label in labels),
        clustered=clustered,
        method="pca" if kept is not None else "umap",
        kept=kept,
        similarity=vectors @ vectors.T if len(texts) <= SIMILARITY_TEXTS else None,
        cut=cut,
        max_tokens=encoder.max_tokens,
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


def _umap(vectors: Float32) -> Float64:
    try:
        import umap
    except ImportError:
        raise MissingExtraError("umap-learn", "umap") from None

    neighbours = min(15, len(vectors) - 1)
    if neighbours < 2:  # noqa: PLR2004
        return np.zeros((len(vectors), 2))
    # With a seed it works on one thread, and says so unless it is told to.
    method = umap.UMAP(n_neighbors=neighbours, metric="cosine", init="random", random_state=0, n_jobs=1)
    return np.asarray(method.fit_transform(vectors), dtype=np.float64)
