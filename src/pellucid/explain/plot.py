"""A map of texts as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.drawing import figure_class

if TYPE_CHECKING:
    from pellucid.explain.map import TextMap

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a00", "#666666")
"""Eight that can be told apart with any kind of colour vision (Okabe and Ito, 2008), darker where they were light."""


def draw_map(text_map: TextMap, path: Path) -> None:
    """Draw texts in the plane, and beside it how alike each is to each, to a ``.png`` or ``.svg`` file.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
    """
    columns = 1 if text_map.similarity is None else 2
    figure = figure_class()(figsize=(7.5 * columns, 6.5), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    names = sorted(set(text_map.labels))
    for number, name in enumerate(names):
        chosen = np.array([label == name for label in text_map.labels])
        axes[0].scatter(*text_map.plane[chosen].T, s=36, color=COLOURS[number % len(COLOURS)], label=name, alpha=0.85)
    axes[0].set_title(text_map.sentence, fontsize=9, loc="left")
    axes[0].set_xticks([])
    axes[0].set_yticks([])
    axes[0].spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        axes[0].legend(frameon=False, fontsize=9)
    if text_map.similarity is not None:
        order = text_map.order()
        shown = axes[1].imshow(text_map.similarity[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1)
        axes[1].set_title("How alike each is to each: the cosine, ordered by colour", fontsize=9, loc="left")
        axes[1].set_xticks([])
        axes[1].set_yticks([])
        figure.colorbar(shown, ax=axes[1], shrink=0.8)
    figure.suptitle(f"{len(text_map.texts)} texts, {text_map.model_name}", x=0.01, ha="left", fontsize=12)
    figure.savefig(path, dpi=150)
