"""Plots the tokens per second of every contender, over the number of threads too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import patheffects, ticker
from matplotlib import pyplot as plt
from report import LABELS, TITLES, ceilings, rows
from result_tables import milliseconds, speed

OURS, THEIRS, INK, FAINT, GRID = "#0b6e99", "#b8c4cc", "#22313a", "#67767f", "#e6eaed"
SERVER_COLOURS = (OURS, "#57b8e0", "#8c6d1f", "#a33b20", INK)
MIN_WIDTH_FOR_INNER_TEXT = 0.16
"""Bars longer than this fraction of the width have their number inside, away from the mark of the limit."""
LINE_OF_NAMES = 0.042
"""The least distance of two names at the ends of lines, as a fraction of the picture's height."""


def plot(result: dict[str, Any], model: str, workload: str, file: Path) -> None:
    """Draw a horizontal bar for each contender, the fastest on top, and mark the machine's limit for its dtype."""
    model_result, machine = result["models"][model], result["machine"]
    bars, limits = rows(model_result, workload), ceilings(model_result, workload)
    marks = [limits[row.dtype] * 1e9 / model_result["products_per_token"] if row.dtype in limits else 0 for row in bars]
    width = 1.04 * max([row.tokens_per_second for row in bars] + marks)
    plt.rcParams |= {"font.size": 11, "text.color": INK, "ytick.color": INK}
    figure, axes = plt.subplots(figsize=(9.4, 1.7 + 0.42 * len(bars)), layout="constrained")
    for y, (row, mark) in enumerate(zip(bars, marks, strict=True)):
        speed, ours = row.tokens_per_second, row.name.startswith("pellucid")
        axes.barh(y, speed, height=0.7, color=OURS if ours else THEIRS)
        axes.vlines([mark] if mark else [], y - 0.35, y + 0.35, color=FAINT, linewidth=2)
        inside = speed > MIN_WIDTH_FOR_INNER_TEXT * width
        text = axes.annotate(
            f"{speed:,.0f}" if row.ratio is None else f"{speed:,.0f}  ({row.ratio:.1f}×)",
            (speed, y),
            (-6 if inside else 6, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside and ours else INK,
            fontweight="bold" if ours else "normal",
        )
        if not inside:
            text.set_path_effects([patheffects.withStroke(linewidth=4, foreground="white")])
    axes.set_yticks(range(len(bars)), [LABELS[row.name] for row in bars])
    axes.set_xlim(0, width)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.tick_params(axis="x", colors=FAINT, length=0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    text_stats = model_result["workloads"][workload]["texts"]
    figure.suptitle(
        f"{model}: tokens per second, {TITLES[workload].lower()}", x=0.01, ha="left", fontweight="bold", fontsize=14
    )
    caption = (
        f"{text_stats['count']:,} texts of {text_stats['mean_tokens']:.0f} tokens on average. "
        f"{result['options']['threads']} threads of {machine['cpu']}, {result['date'][:10]}. "
        "In brackets: speed relative to sentence-transformers."
    )
    if limits:
        caption += "\nVertical marks: the speed if this machine only multiplied and added, in the row's precision."
    figure.supxlabel(caption, x=0.01, ha="left", color=FAINT, fontsize=9.5, linespacing=1.5)
    figure.savefig(file, dpi=160)
    plt.close(figure)


def plot_scaling(result: dict[str, Any], model: str, file: Path) -> None:
    """Draw each contender's tokens per second over the number of threads, and a query's time beside it."""
    measured = result["models"][model]["workloads"]["scaling"]
    counts = list(measured["threads"])
    names = list(dict.fromkeys(name for one in measured["threads"].values() for name in one["texts"]["contenders"]))
    plt.rcParams |= {"font.size": 11, "text.color": INK, "ytick.color": INK}
    figure, panels = plt.subplots(1, 2, figsize=(11, 6), layout="constrained")
    for axes, title, value in zip(
        panels, ("Tokens per second", "Milliseconds for a query"), (speed, milliseconds), strict=True
    ):
        places = []
        for name in names:
            ours = name.startswith("pellucid")
            values = [value(measured, name, count) for count in counts]
            axes.plot(
                range(len(counts)),
                values,
                color=OURS if ours else FAINT,
                linewidth=2.2 if ours else 1.2,
                marker="o",
                markersize=4,
            )
            places.append((values[-1], LABELS[name], ours))
        axes.set_yscale("log")
        _name_lines(axes, places, len(counts) - 1)
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_major_formatter(_number)
        axes.set_xticks(range(len(counts)), counts)
        axes.set_xlabel("threads", color=FAINT)
        axes.set_title(title, loc="left", fontsize=11)
        axes.tick_params(length=0)
        axes.grid(axis="y", color=GRID)
        axes.spines[:].set_visible(False)
    figure.suptitle(f"{model}: by threads", x=0.01, ha="left", fontweight="bold", fontsize=14)
    caption = f"{result['machine']['cpu']}, {result['date'][:10]}. Both scales are logarithmic."
    figure.supxlabel(caption, x=0.01, ha="left", color=FAINT, fontsize=9.5)
    figure.savefig(file, dpi=160)
    plt.close(figure)


def _name_lines(axes: Any, places: list[tuple[float, str, bool]], x: float) -> None:
    """Write each line's name at its right end. Names that would touch move apart, and a thin line leads to them."""
    known = sorted(place for place in places if not math.isnan(place[0]))
    low, high = axes.get_ylim()
    step = math.log(high / low) * LINE_OF_NAMES
    heights = [math.log(value) for value, _, _ in known]
    for _ in range(100):
        for i in range(len(heights) - 1):
            overlap = step - (heights[i + 1] - heights[i])
            if overlap > 0:
                heights[i], heights[i + 1] = heights[i] - overlap / 2, heights[i + 1] + overlap / 2
    for (value, name, ours), height in zip(known, heights, strict=True):
        axes.plot((x, x + 0.22), (value, math.exp(height)), color=GRID, linewidth=1, clip_on=False, zorder=0)
        axes.annotate(
            name,
            (x + 0.25, math.exp(height)),
            va="center",
            color=OURS if ours else INK,
            fontweight="bold" if ours else "normal",
            fontsize=9.5,
            annotation_clip=False,
        )
    axes.set(xlim=(-0.2, x + 0.2), ylim=(low, high))


def _number(value: float, _: int) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def plot_load(result: dict[str, Any], file: Path) -> None:
    """Draw how long requests to each server take over their rate, and how long the slowest take."""
    plt.rcParams |= {"font.size": 11, "text.color": INK, "ytick.color": INK}
    figure, axes = plt.subplots(figsize=(9.4, 5.2), layout="constrained")
    for (name, points), colour in zip(result["servers"].items(), SERVER_COLOURS, strict=False):
        answered = [point for point in points if point["p50_ms"]]
        rates = [point["offered"] for point in answered]
        axes.plot(rates, [point["p50_ms"] for point in answered], color=colour, linewidth=2.2, label=name)
        axes.plot(rates, [point["p95_ms"] for point in answered], color=colour, linewidth=1, linestyle="--")
        axes.plot(rates, [point["p99_ms"] for point in answered], color=colour, linewidth=1, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(ticker.NullLocator())
        axis.set_major_formatter(_number)
    axes.set_xlabel("requests per second", color=FAINT)
    axes.set_ylabel("milliseconds", color=FAINT)
    axes.tick_params(length=0)
    axes.grid(color=GRID)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
    figure.suptitle(f"{result['model']}: time of a request", x=0.01, ha="left", fontweight="bold", fontsize=14)
    caption = (
        f"One short text per request; {result['machine']['cores']} cores of {result['machine']['cpu']}, shared with "
        f"the clients, {result['date'][:10]}.\nSolid: median; dashed: 95 % take at most this long; dotted: 99 %."
    )
    figure.supxlabel(caption, x=0.01, ha="left", color=FAINT, fontsize=9.5, linespacing=1.5)
    figure.savefig(file, dpi=160)
    plt.close(figure)
