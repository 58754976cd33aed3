"""Tokens a second of every contender as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import patheffects
from matplotlib import pyplot as plt
from report import LABELS, TITLES, ceilings, rows

OURS, THEIRS, INK, FAINT, GRID = "#0b6e99", "#b8c4cc", "#22313a", "#67767f", "#e6eaed"
INSIDE = 0.16
"""Of the width: a bar that long has its number inside, clear of the ceiling's mark."""


def plot(result: dict[str, Any], model: str, workload: str, file: Path) -> None:
    """Horizontal bars, the fastest on top, and on each row what the machine's arithmetic allows for its dtype."""
    of_model, where = result["models"][model], result["machine"]
    bars, tops = rows(of_model, workload), ceilings(of_model, workload)
    marks = [tops[row.dtype] * 1e9 / of_model["products_per_token"] if row.dtype in tops else 0 for row in bars]
    width = 1.04 * max([row.tokens_per_second for row in bars] + marks)
    plt.rcParams |= {"font.size": 11, "text.color": INK, "ytick.color": INK}
    figure, axes = plt.subplots(figsize=(9.4, 1.7 + 0.42 * len(bars)), layout="constrained")
    for y, (row, mark) in enumerate(zip(bars, marks, strict=True)):
        speed, ours = row.tokens_per_second, row.name.startswith("pellucid")
        axes.barh(y, speed, height=0.7, color=OURS if ours else THEIRS)
        axes.vlines([mark] if mark else [], y - 0.35, y + 0.35, color=FAINT, linewidth=2)
        inside = speed > INSIDE * width
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
    described = of_model["workloads"][workload]["texts"]
    figure.suptitle(
        f"{model}: tokens per second, {TITLES[workload].lower()}", x=0.01, ha="left", fontweight="bold", fontsize=14
    )
    caption = (
        f"{described['count']:,} texts of {described['mean_tokens']:.0f} tokens on average. "
        f"{result['options']['threads']} threads of {where['cpu']}, {result['date'][:10]}. "
        "In brackets, times sentence-transformers."
    )
    if tops:
        caption += "\nUpright marks: what this machine's multiply-adds alone would allow, in the row's own precision."
    figure.supxlabel(caption, x=0.01, ha="left", color=FAINT, fontsize=9.5, linespacing=1.5)
    figure.savefig(file, dpi=160)
    plt.close(figure)
