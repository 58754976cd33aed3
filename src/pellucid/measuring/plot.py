"""A comparison as one picture: speed, memory and agreement, a row for each model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.explain.render.plotting import figure_class
from pellucid.measuring.rounds import BenchResult, labels

if TYPE_CHECKING:
    from pellucid.explain.render.plotting import Axes
    from pellucid.measuring.neighbours import Float64

ENDINGS = (".png", ".svg")

_BAR, _INK, _FAINT = "#0b6e99", "#22313a", "#67767f"
_DARK = 0.6
"""Agreement from here on is drawn so dark that its number is white."""


def require() -> None:
    """Say now, before anything is measured, if matplotlib is missing.

    Raises:
        MissingExtraError: it is.
    """
    figure_class()


def draw(comparison: BenchResult, file: Path, caption: str) -> None:
    """Write the picture of at least one model to a file whose name ends in one of ``ENDINGS``."""
    figures, matrix = comparison.figures, comparison.agreement
    names = labels([one.contender for one in figures])
    rows = len(figures)
    panels = [
        ("texts per second", "more is better", [comparison.texts / one.embedding for one in figures], ",.0f"),
        ("one query, ms", "less is better", [1e3 * one.query for one in figures], ".2f"),
        ("memory, MB", "less is better", [one.memory / 1e6 for one in figures], ",.0f"),
    ]
    widths = [1.0] * len(panels) + ([] if matrix is None else [max(1.2, 0.3 * rows)])
    size = (3.0 + 2.4 * sum(widths), 1.6 + 0.55 * rows)
    figure = figure_class()(figsize=size, layout="constrained")
    every = figure.subplots(1, len(widths), width_ratios=widths, sharey=True, squeeze=False)[0]
    for axes, (title, hint, values, form) in zip(every, panels, strict=False):
        _title(axes, title, hint)
        _bars(axes, values, form)
    if matrix is not None:
        names = [f"{name}   {number}" for number, name in enumerate(names, start=1)]
        _title(
            every[-1], "agreement", f"on the {comparison.neighbours} nearest texts; by chance {comparison.chance:.0%}"
        )
        _heat(every[-1], matrix)
    every[0].set_yticks(range(rows), names)
    every[0].set_ylim(rows - 0.5, -0.5)
    for axes in every:
        axes.tick_params(length=0, labelcolor=_INK)
        axes.spines[:].set_visible(False)
    figure.supxlabel(caption, x=0.01, ha="left", color=_FAINT, fontsize=9, linespacing=1.5)
    figure.savefig(file, dpi=160)


def _title(axes: Axes, title: str, hint: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.annotate(hint, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", color=_FAINT, fontsize=9)


def _bars(axes: Axes, values: Sequence[float], form: str) -> None:
    """A bar and a number for each model."""
    bars = axes.barh(range(len(values)), values, height=0.66, color=_BAR)
    axes.bar_label(bars, [format(value, form) for value in values], padding=4, color=_INK)
    axes.set_xlim(0, 1.35 * max(values))  # Room for the number of the longest.
    axes.set_xticks([])


def _heat(axes: Axes, agreement: Float64) -> None:
    """Percentages of each two models, the darker the higher; the columns are numbered as the rows are."""
    models = range(len(agreement))
    colors = agreement.copy()
    colors[models, models] = 0  # A model and itself: nothing to learn, and nothing to draw the eye.
    axes.imshow(colors, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in models:
        for column in models:
            value = agreement[row, column]
            color = _FAINT if row == column else "white" if value >= _DARK else _INK
            axes.text(column, row, f"{value:.1%}", ha="center", va="center", color=color, fontsize=9.5)
    axes.set_xticks(models, [str(number + 1) for number in models])
