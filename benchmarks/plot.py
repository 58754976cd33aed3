"""Plots the tokens per second of every contender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import patheffects
from matplotlib import pyplot as plt
from report import LABELS, TITLES, ceilings, rows

OURS, THEIRS, INK, FAINT, GRID = "#0b6e99", "#b8c4cc", "#22313a", "#67767f", "#e6eaed"
MIN_WIDTH_FOR_INNER_TEXT = 0.16
"""Bars longer than this fraction of the width have their number inside, away from the mark of the limit."""


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
