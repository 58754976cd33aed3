"""A map of texts as a picture."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.explain.render.plotting import figure_class
from pellucid.explain.shares import Float64
from pellucid.explain.text_map import PALETTE, TextMap

if TYPE_CHECKING:
    from pellucid.explain.render.plotting import Axes

_MARKERS = "os^D"
"""From the ninth label on, the colours come again with another shape."""
_NAMES = 24
"""So many labels have room in a legend."""
_MANY = 300
"""From here on, dots are small and let through what lies under them."""
_CAPTIONS, _CHARACTERS = 60, 34
"""Up to so many texts are named in the plane, with so many of their characters."""
_INCHES = 7.5
_MARGIN = 0.12
_POINTS = 0.86 * 72 * _INCHES
"""About how wide the plane is, in points of the font."""
_INK, _FAINT = "#22313a", "#67767f"


def draw_map(text_map: TextMap, path: Path) -> None:
    """Draw texts in the plane, and beside it how alike each is to each, to a ``.png`` or ``.svg`` file.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
    """
    similarity = text_map.similarity if len(text_map.texts) > 1 else None
    columns = 1 if similarity is None else 2
    figure = figure_class()(figsize=(_INCHES * columns + 0.5, _INCHES + 1), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    _plane(axes[0], text_map)
    if similarity is not None:
        order = text_map.order()
        shown = axes[1].imshow(similarity[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1)
        _title(axes[1], "How alike each is to each", "the cosine, 0 or less to 1; in the order of the colours")
        _groups(axes[1], text_map)
        figure.colorbar(shown, ax=axes[1], shrink=0.8).outline.set_visible(False)
    title = f"{len(text_map.texts)} texts, {text_map.model_name}"
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK, parse_math=False)
    words = "\n".join(line for line in (text_map.sentence, text_map.colours) if line)
    figure.supxlabel(words, x=0.012, ha="left", fontsize=9, color=_FAINT, linespacing=1.5)
    with warnings.catch_warnings():
        # The font has no letters of some scripts, and shows a box for each. That is to be seen in the picture.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # An SVG without the time.
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.2, metadata=metadata)


def _plane(axes: Axes, text_map: TextMap) -> None:
    names, many = text_map.names, len(text_map.texts) > _MANY
    for number, name in enumerate(names):
        chosen = np.array([label == name for label in text_map.labels])
        axes.scatter(
            text_map.plane[chosen, 0],
            text_map.plane[chosen, 1],
            s=12 if many else 40,
            color=PALETTE[number % len(PALETTE)],
            marker=_MARKERS[number // len(PALETTE) % len(_MARKERS)],
            label=str(number),
            linewidths=0,
            alpha=0.6 if many else 1,
        )
    # One scale for both directions, so that a distance is a distance.
    (x, y), half = _square(text_map)
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#dfe6ea")
    _title(axes, "In the plane", "")
    if 1 < len(names) <= _NAMES:
        legend = axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.01), ncols=5)
        for text, name in zip(legend.get_texts(), names, strict=True):
            # Set afterwards: matplotlib leaves out names that begin with "_", and reads "$" as mathematics.
            text.set_parse_math(False)
            text.set_text(_short(name))
    if 0 < len(text_map.texts) <= _CAPTIONS:
        for place, side in _captions(text_map):
            axes.annotate(
                _short(text_map.texts[place]),
                tuple(text_map.plane[place]),
                (6 * side, 0),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=7.5,
                color=_INK,
                parse_math=False,
            )


def _captions(text_map: TextMap) -> Iterator[tuple[int, int]]:
    """Which texts can be named at the right of their dot (1) or at its left (-1), without covering each other."""
    # In points, from the middle. Letters are about half as wide as they are high.
    middle, half = _square(text_map)
    points = (text_map.plane - middle) / half * (_POINTS / 2)
    boxes = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    for place, (x, y) in enumerate(points):
        width = 4.0 * len(_short(text_map.texts[place]))
        for side in (1, -1):
            near, far = x + 6 * side, x + (6 + width) * side
            box = (min(near, far), y - 4.5, max(near, far), y + 4.5)
            inside = box[0] > -_POINTS / 2 and box[2] < _POINTS / 2
            if inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                yield place, side
                break


def _square(text_map: TextMap) -> tuple[Float64, float]:
    """The square that is drawn: its middle, ``float64[2]``, and half its side."""
    if not len(text_map.plane):
        return np.zeros(2), 1.0
    low, high = text_map.plane.min(axis=0), text_map.plane.max(axis=0)
    half = float((high - low).max()) * (0.5 + _MARGIN)
    return (low + high) / 2, half or 1.0


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _groups(axes: Axes, text_map: TextMap) -> None:
    """A line between the texts of one label and those of the next, and its colour at the side."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    names = text_map.names
    if not 1 < len(names) <= _NAMES:
        return
    side = -0.5 - 0.015 * len(text_map.texts)
    end = -0.5
    for number, name in enumerate(names):
        start, end = end, end + text_map.labels.count(name)
        colour = PALETTE[number % len(PALETTE)]
        for across, along in (([side, side], [start, end]), ([start, end], [side, side])):
            axes.plot(across, along, color=colour, linewidth=5, solid_capstyle="butt", clip_on=False)
        if number:
            axes.axhline(start, color="white", linewidth=1)
            axes.axvline(start, color="white", linewidth=1)


def _title(axes: Axes, title: str, hint: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.set_title(hint, loc="right", fontsize=9, color=_FAINT)


def _short(text: str) -> str:
    """A text on one line, short enough to stand beside a dot."""
    return textwrap.shorten(text, _CHARACTERS, placeholder=" …") if len(text) > _CHARACTERS else " ".join(text.split())
