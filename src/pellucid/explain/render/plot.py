"""A map of texts as a picture."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.errors import plural
from pellucid.explain.render.plotting import figure_class
from pellucid.explain.shares import Float64
from pellucid.explain.text_map import PALETTE, TextMap

if TYPE_CHECKING:
    from pellucid.explain.render.plotting import Axes

_MARKERS = "os^D"
"""The palette's eight colours serve again for the ninth and later labels, each time with the next marker."""
_MAX_LEGEND_LABELS = 24
"""The legend has room for this many labels."""
_MAX_LARGE_DOTS = 300
"""With more texts, the dots are small and half transparent."""
_MAX_CAPTIONS = 60
"""With more texts, none gets a caption."""
_MAX_CAPTION_CHARACTERS = 34
_PANEL_INCHES = 7.5
_MARGIN = 0.12
_PLANE_POINTS = 0.86 * 72 * _PANEL_INCHES
"""The approximate width of the plane in points, the unit of font sizes."""
_INK, _FAINT = "#22313a", "#67767f"


def draw_map(text_map: TextMap, path: Path) -> None:
    """Draw texts in the plane, and next to it the similarity of each pair, to a ``.png`` or ``.svg`` file.

    Raises:
        MissingExtraError: the extra ``plot`` is not installed.
    """
    similarity = text_map.similarity if len(text_map.texts) > 1 else None
    columns = 1 if similarity is None else 2
    figure = figure_class()(figsize=(_PANEL_INCHES * columns + 0.5, _PANEL_INCHES + 1), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    _draw_plane(axes[0], text_map)
    if similarity is not None:
        order = text_map.order()
        image = axes[1].imshow(similarity[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1)
        _draw_title(axes[1], "The similarity of each pair", "cosine, from 0 or less to 1; sorted by colour")
        _mark_groups(axes[1], text_map)
        figure.colorbar(image, ax=axes[1], shrink=0.8).outline.set_visible(False)
    title = f"{plural(len(text_map.texts), 'text')}, {text_map.model_name}"
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", color=_INK, parse_math=False)
    sentences = "\n".join(line for line in (text_map.sentence, text_map.colour_sentence) if line)
    figure.supxlabel(sentences, x=0.012, ha="left", fontsize=9, color=_FAINT, linespacing=1.5)
    with warnings.catch_warnings():
        # The font lacks some scripts and draws a box for each missing letter. The picture shows that; no need to warn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Leave the date out of an SVG file.
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.2, metadata=metadata)


def _draw_plane(axes: Axes, text_map: TextMap) -> None:
    """Draw a dot for each text in the colour of its label, the legend, and as many captions as there is room for."""
    labels, many = text_map.distinct_labels, len(text_map.texts) > _MAX_LARGE_DOTS
    for number, label in enumerate(labels):
        members = np.array([own == label for own in text_map.labels])
        axes.scatter(
            text_map.plane[members, 0],
            text_map.plane[members, 1],
            s=12 if many else 40,
            color=PALETTE[number % len(PALETTE)],
            marker=_MARKERS[number // len(PALETTE) % len(_MARKERS)],
            label=str(number),
            linewidths=0,
            alpha=0.6 if many else 1,
        )
    # Both axes have the same scale, so distances can be compared in all directions.
    (x, y), half = _visible_square(text_map)
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#dfe6ea")
    _draw_title(axes, "The texts in the plane", "")
    if 1 < len(labels) <= _MAX_LEGEND_LABELS:
        legend = axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0, -0.01), ncols=5)
        for entry, label in zip(legend.get_texts(), labels, strict=True):
            # The labels are set only now: a legend leaves out labels that begin with "_", and reads "$" as mathematics.
            entry.set_parse_math(False)
            entry.set_text(_shorten(label))
    if 0 < len(text_map.texts) <= _MAX_CAPTIONS:
        for index, side in _place_captions(text_map):
            axes.annotate(
                _shorten(text_map.texts[index]),
                tuple(text_map.plane[index]),
                (6 * side, 0),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=7.5,
                color=_INK,
                parse_math=False,
            )


def _place_captions(text_map: TextMap) -> Iterator[tuple[int, int]]:
    """Find texts that can have a caption to the right of their dot (1) or to its left (-1) that covers nothing else.

    Yields:
        The text's index, and the side.
    """
    # All lengths are in points from the middle of the plane. A letter is about half as wide as it is high.
    middle, half = _visible_square(text_map)
    points = (text_map.plane - middle) / half * (_PLANE_POINTS / 2)
    boxes = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    for index, (x, y) in enumerate(points):
        width = 4.0 * len(_shorten(text_map.texts[index]))
        for side in (1, -1):
            near, far = x + 6 * side, x + (6 + width) * side
            box = (min(near, far), y - 4.5, max(near, far), y + 4.5)
            is_inside = box[0] > -_PLANE_POINTS / 2 and box[2] < _PLANE_POINTS / 2
            if is_inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                yield index, side
                break


def _visible_square(text_map: TextMap) -> tuple[Float64, float]:
    """The square of the plane that is drawn: its middle, ``float64[2]``, and half the length of its side."""
    if not len(text_map.plane):
        return np.zeros(2), 1.0
    low, high = text_map.plane.min(axis=0), text_map.plane.max(axis=0)
    half = float((high - low).max()) * (0.5 + _MARGIN)
    return (low + high) / 2, half or 1.0


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """True if two boxes, ``(left, bottom, right, top)``, overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _mark_groups(axes: Axes, text_map: TextMap) -> None:
    """Draw lines between the texts of one label and the next, and each label's colour along two sides."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    labels = text_map.distinct_labels
    if not 1 < len(labels) <= _MAX_LEGEND_LABELS:
        return
    side = -0.5 - 0.015 * len(text_map.texts)
    end = -0.5
    for number, label in enumerate(labels):
        start, end = end, end + text_map.labels.count(label)
        colour = PALETTE[number % len(PALETTE)]
        for xs, ys in (([side, side], [start, end]), ([start, end], [side, side])):
            axes.plot(xs, ys, color=colour, linewidth=5, solid_capstyle="butt", clip_on=False)
        if number:
            axes.axhline(start, color="white", linewidth=1)
            axes.axvline(start, color="white", linewidth=1)


def _draw_title(axes: Axes, title: str, hint: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.set_title(hint, loc="right", fontsize=9, color=_FAINT)


def _shorten(text: str) -> str:
    """Put a text on one line, and shorten it to the length of a caption."""
    if len(text) > _MAX_CAPTION_CHARACTERS:
        return textwrap.shorten(text, _MAX_CAPTION_CHARACTERS, placeholder=" …")
    return " ".join(text.split())
