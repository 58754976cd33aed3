"""A map of many texts: a plane that shows which texts are similar, and the similarity of each pair.

The plane's axes are the two directions in which the vectors differ most (PCA; Pearson, 1901), which keeps as much of
their distances as two dimensions can. UMAP (McInnes et al., 2018) is the alternative: it keeps neighbours together, but
its distances mean nothing. The colours show the given labels, or clusters. Clusters are found in the vectors
themselves, not in the plane.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pellucid.encoder.encoder import Encoder
from pellucid.encoder.prompts import DOCUMENT_PROMPTS, choose_prompt
from pellucid.errors import MissingExtraError, OptionError, plural
from pellucid.explain.drawn import Drawn
from pellucid.explain.shares import Float64
from pellucid.explain.trace import display_name
from pellucid.layers.finish import Pool
from pellucid.text.checks import as_list
from pellucid.text.truncation import OnTruncation, check_truncation, warn_about_truncation
from pellucid.types import Float32, Int64
from pellucid.vectors.clusters import cluster
from pellucid.vectors.k_means import MAX_CHOSEN

Method = Literal["pca", "umap"]
MAX_TEXTS = 50_000
"""PCA takes some 40 bytes for each number of the vectors, and the page holds every text."""
MAX_SIMILARITY_TEXTS = 300
"""A map of more texts does not show the similarity of each pair."""
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a00", "#777777")
"""Eight colours that people with any kind of colour vision can tell apart (Okabe and Ito, 2008). The light ones of that
palette are darker here."""
ENDINGS = (".html", ".png", ".svg")


@dataclass(frozen=True, eq=False)
class TextMap(Drawn):
    """Texts in a plane.

    Attributes:
        model_name: the model that made the vectors.
        texts: the texts, in the order in which they were given.
        plane: the position of each text, ``float64[n, 2]``.
        labels: the label of each text, which decides its colour: a given label, or the number of its cluster and the
            words that tell the cluster's texts from the others, as in "cluster 1: cat, kitten".
        clustered: True if the labels are clusters.
        method: "pca" or "umap".
        explained_variance: the share of the vectors' variance that the plane shows, from 0 to 1; None for UMAP, which
            has no such number.
        similarity: the cosine of each pair, ``float32[n, n]``; None for more than ``MAX_SIMILARITY_TEXTS`` texts.
        cut: the indices of texts that were too long for the model, so that it read only a part of them.
        max_tokens: the most tokens of a text that the model reads.
    """

    model_name: str
    texts: tuple[str, ...]
    plane: Float64
    labels: tuple[str, ...]
    clustered: bool
    method: Method
    explained_variance: float | None
    similarity: Float32 | None
    cut: frozenset[int]
    max_tokens: int

    def __repr__(self) -> str:
        groups = plural(len(self.distinct_labels), "cluster" if self.clustered else "label")
        return f"TextMap({plural(len(self.texts), 'text')}, {groups}, {self.method.upper()})"

    @property
    def distinct_labels(self) -> tuple[str, ...]:
        """Each label once, in the order that people expect: "cluster 2" before "cluster 10"."""
        parts = {label: re.split(r"(\d+)", label) for label in self.labels}
        return tuple(sorted(parts, key=lambda label: [(int(p) if k % 2 else 0, p) for k, p in enumerate(parts[label])]))

    @property
    def sentence(self) -> str:
        """A sentence that says what the plane shows."""
        if self.explained_variance is None:
            return "UMAP puts texts with similar vectors close together. The distances between groups mean nothing."
        return (
            f"The axes are the two directions in which the vectors differ most (PCA). They show "
            f"{self.explained_variance:.0%} of the variance; the rest is not visible here."
        )

    @property
    def colour_sentence(self) -> str:
        """A sentence that says what the colours mean; "" if there is only one."""
        if not self.clustered:
            return "The colours show the given labels."
        found = len(self.distinct_labels)
        if found < 2:  # noqa: PLR2004
            return ""
        return (
            f"The colours show clusters of the whole vectors, not of the plane. k-means tried 2 to {MAX_CHOSEN} "
            f"clusters, and {found} fit best (by their silhouette)."
        )

    def order(self) -> Int64:
        """Sort the texts by label, and within a label from left to right in the plane: ``int64[n]``."""
        numbers = {label: number for number, label in enumerate(self.distinct_labels)}
        return np.lexsort((self.plane[:, 0], np.array([numbers[label] for label in self.labels])))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page (``.html``) or a picture (``.png``, ``.svg``). The file is there whole or not at all.

        A ``~`` at the start of ``path`` is your home folder.

        Raises:
            OptionError: the name has another ending, or the file cannot be written.
            MissingExtraError: a picture needs the extra ``plot``, and it is not installed.
        """
        name = Path(path).name
        if Path(path).suffix.lower() not in ENDINGS:
            raise OptionError(f"cannot write a map to {name!r}; the name must end in {', '.join(ENDINGS)}.")
        if Path(path).suffix.lower() == ".html":
            self.save_html(path)
            return
        from pellucid.explain.render.plot import draw_map
        from pellucid.files.whole import new_file

        with new_file(path) as file:
            draw_map(self, file)


def text_map(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    method: str = "pca",
    on_truncation: OnTruncation = "warn",
) -> TextMap:
    """Embed texts and make a map of them.

    Args:
        encoder: the model.
        texts: at most ``MAX_TEXTS`` texts. The model's prompt for documents is put before each.
        labels: one label for each text. Without labels, the texts are clustered.
        method: "pca" or "umap".
        on_truncation: what to do with a text that is too long: as for :class:`~pellucid.embedder.Embedder`.

    Raises:
        TruncationError: a text is too long for ``on_truncation="error"``.
        OptionError: unknown method, too many texts, or not one label for each text.
        MissingExtraError: UMAP needs the extra ``umap``, and it is not installed.
    """
    if method not in ("pca", "umap"):
        raise OptionError(f"method={method!r} is not one of 'pca', 'umap'.")
    if len(texts) > MAX_TEXTS:
        raise OptionError(f"there are {len(texts):,} texts, and a map shows at most {MAX_TEXTS:,}. Leave some out.")
    if labels is not None and len(labels) != len(texts):
        raise OptionError(
            f"there {'is' if len(labels) == 1 else 'are'} {plural(len(labels), 'label')} for "
            f"{plural(len(texts), 'text')}. Give one label for each text."
        )
    prompt = choose_prompt(encoder.spec, DOCUMENT_PROMPTS, None, None)
    tokens, lengths = encoder.tokenizer.tokenize(as_list(texts), prompt)
    truncation = check_truncation(lengths, encoder.max_tokens, on_truncation, 0)
    warn_about_truncation(truncation, encoder.max_tokens, on_truncation)
    finish = Pool(encoder.spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(prompt), normalize=True)
    vectors = encoder.run(tokens, finish)
    finish.check(vectors, lambda row: row)
    cut = frozenset(np.flatnonzero(lengths > encoder.max_tokens).tolist())
    return map_vectors(encoder, texts, vectors, cut, labels=labels, method=method)


def map_vectors(
    encoder: Encoder,
    texts: Sequence[str],
    vectors: Float32,
    cut: frozenset[int],
    *,
    labels: Sequence[str] | None = None,
    method: str = "pca",
) -> TextMap:
    """Make a map of texts that are already embedded.

    Args:
        encoder: the model.
        texts: any number of texts.
        vectors: their vectors, of unit length: ``float32[n, d]``.
        cut: the indices of texts that are too long for the model.
        labels: as for :func:`text_map`.
        method: as for :func:`text_map`.

    Raises:
        MissingExtraError: UMAP needs the extra ``umap``, and it is not installed.
    """
    plane, explained_variance = pca(vectors) if method == "pca" else (_umap(vectors), None)
    clustered = labels is None
    if labels is None:
        clusters = cluster(vectors, texts=texts)
        names = [_cluster_name(number, group.words) for number, group in enumerate(clusters, 1)]
        labels = [names[number] for number in clusters.labels.tolist()]
    return TextMap(
        model_name=display_name(encoder),
        texts=tuple(texts),
        plane=plane,
        labels=tuple(str(label) for label in labels),
        clustered=clustered,
        method="pca" if explained_variance is not None else "umap",
        explained_variance=explained_variance,
        similarity=vectors @ vectors.T if len(texts) <= MAX_SIMILARITY_TEXTS else None,
        cut=cut,
        max_tokens=encoder.max_tokens,
    )


def _cluster_name(number: int, words: Sequence[str]) -> str:
    """The name of a cluster: its number, and the words that tell its texts from the others."""
    return f"cluster {number}: {', '.join(words)}" if words else f"cluster {number}"


def pca(vectors: Float32) -> tuple[Float64, float]:
    """Project vectors onto the two directions in which they vary most.

    Args:
        vectors: ``float32[n, d]``.

    Returns:
        The positions, ``float64[n, 2]``, and the share of the variance that they show. The sign of a direction is
        arbitrary; it is chosen so that the number with the largest absolute value is positive. So the same vectors
        always give the same picture.
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
    """The position of each vector by UMAP: ``float64[n, 2]``."""
    try:
        import umap
    except ImportError:
        raise MissingExtraError("umap-learn", "umap") from None

    neighbours = min(15, len(vectors) - 1)
    if neighbours < 2:  # noqa: PLR2004
        return np.zeros((len(vectors), 2))
    # A seed makes UMAP use one thread. It warns about that unless n_jobs=1 asks for it.
    method = umap.UMAP(n_neighbors=neighbours, metric="cosine", init="random", random_state=0, n_jobs=1)
    return np.asarray(method.fit_transform(vectors), dtype=np.float64)
