"""The result of a comparison as one picture: speed, memory and agreement, with one row for each model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import plural
from pellucid.explain.render.plotting import figure_class
from pellucid.measuring.rounds import BenchResult, labels

if TYPE_CHECKING:
    from pellucid.explain.render.plotting import Axes
    from pellucid.measuring.neighbours import Float64

ENDINGS = (".png", ".svg")

_BAR, _INK, _FAINT = "#0b6e99", "#22313a", "#67767f"
_DARK_AGREEMENT = 0.6
"""From this agreement on, a cell is so dark that its number must be white."""


def require_matplotlib() -> None:
    """Check that matplotlib is installed, before anything is measured.

    Raises:
        MissingExtraError: it is not.
    """
    figure_class()


def draw(result: BenchResult, file: Path, caption: str) -> None:
    """Write the picture to a file whose name ends in one of ``ENDINGS``. The result must have at least one model."""
    measurements, matrix = result.measurements, result.agreement
    names = labels([measurement.contender for measurement in measurements])
    rows = len(measurements)
    speeds = [result.texts / measurement.median_texts_seconds for measurement in measurements]
    query_milliseconds = [1e3 * measurement.median_query_seconds for measurement in measurements]
    megabytes = [measurement.median_memory_bytes / 1e6 for measurement in measurements]
    panels = [
        ("texts per second", "higher is better", speeds, ",.0f"),
        ("one query, ms", "lower is better", query_milliseconds, ".2f"),
        ("memory, MB", "lower is better", megabytes, ",.0f"),
    ]
    widths = [1.0] * len(panels) + ([] if matrix is None else [max(1.2, 0.3 * rows)])
    size = (3.0 + 2.4 * sum(widths), 1.6 + 0.55 * rows)
    figure = figure_class()(figsize=size, layout="constrained")
    all_axes = figure.subplots(1, len(widths), width_ratios=widths, sharey=True, squeeze=False)[0]
    for axes, (title, hint, values, number_format) in zip(all_axes, panels, strict=False):
        _draw_title(axes, title, hint)
        _draw_bars(axes, values, number_format)
    if matrix is not None:
        names = [f"{name}   {number}" for number, name in enumerate(names, start=1)]
        hint = f"on the {plural(result.neighbours, 'nearest text')}; by chance {result.chance:.0%}"
        _draw_title(all_axes[-1], "agreement", hint)
        _draw_agreement(all_axes[-1], matrix)
    all_axes[0].set_yticks(range(rows), names)
    all_axes[0].set_ylim(rows - 0.5, -0.5)
    for axes in all_axes:
        axes.tick_params(length=0, labelcolor=_INK)
        axes.spines[:].set_visible(False)
    figure.supxlabel(caption, x=0.01, ha="left", color=_FAINT, fontsize=9, linespacing=1.5)
    figure.savefig(file, dpi=160)


def _draw_title(axes: Axes, title: str, hint: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontsize=11, fontweight="bold", color=_INK)
    axes.annotate(hint, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", color=_FAINT, fontsize=9)


def _draw_bars(axes: Axes, values: Sequence[float], number_format: str) -> None:
    """Draw a bar and a number for each model."""
    bars = axes.barh(range(len(values)), values, height=0.66, color=_BAR)
    axes.bar_label(bars, [format(value, number_format) for value in values], padding=4, color=_INK)
    axes.set_xlim(0, 1.35 * max(values))  # leaves room for the number after the longest bar
    axes.set_xticks([])


def _draw_agreement(axes: Axes, agreement: Float64) -> None:
    """Draw the agreement of each pair of models as a percentage; higher is darker. Columns have the rows' numbers."""
    models = range(len(agreement))
    shades = agreement.copy()
    shades[models, models] = 0  # A model always agrees with itself, so its own cell stays pale.
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row in models:
        for column in models:
            value = agreement[row, column]
            color = _FAINT if row == column else "white" if value >= _DARK_AGREEMENT else _INK
            axes.text(column, row, f"{value:.1%}", ha="center", va="center", color=color, fontsize=9.5)
    axes.set_xticks(models, [str(number + 1) for number in models])
