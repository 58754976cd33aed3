"""The tables of a run's results that the pages show, as lines of Markdown.

`report.py` puts them into the page of a run, and `pages.py` into README.md and docs/.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection
from typing import Any

from contenders import BASELINE
from report import LABELS, rows

Lines = list[str]
TOKENIZING = {
    "short": "10,000 paragraphs of 34 tokens",
    "short, with a prompt": "the same with a prompt",
    "short, from as many callers as threads": "the same from several callers",
    "short, in the first call": "2,000 paragraphs, in the first call",
    "noise, in the first call": "random letters, in the first call",
    "long": "1,000 texts of 450 tokens, cut at 256",
    "long, cut at the start": "the same, cut at their start",
    "endless": "10 texts of 300,000 characters",
    "pairs": "5,000 pairs of a query and a paragraph",
    "query": "one query",
}
"""How the pages name the workloads of tokenizing.py."""


def texts(result: dict[str, Any], workload: str, without: Collection[str] = ()) -> Lines:
    """The contenders on short or long texts, the slowest first. Ours are bold."""
    (model_result,) = result["models"].values()
    version = ".".join(result["packages"]["peers"][BASELINE].split(".")[:2])
    lines = [
        "| | tokens/s | speed-up | lowest cosine | peak RSS | one query | process start to first vector |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows(model_result, workload):
        if row.name in without:
            continue
        mark = "**" if row.name.startswith("pellucid") else ""
        cells = (
            f"{mark}{LABELS[row.name]}{f' {version}' if row.name == BASELINE else ''}{mark}",
            f"{mark}{row.tokens_per_second:,.0f}{mark}",
            "–" if row.ratio is None else f"{mark}{row.ratio:.1f}{mark}",
            "–" if row.cosine is None else _cosine(row.cosine),
            f"{row.rss_mb:,.0f} MB",
            "–" if row.query_ms is None else f"{_two_digits(row.query_ms)} ms",
            "–" if row.cold_s is None else f"{_two_digits(row.cold_s)} s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def scaling(measured: dict[str, Any]) -> Lines:
    """Tokens a second for each number of threads, how often that is one thread's, and a query's milliseconds."""
    counts = list(measured["threads"])
    names = dict.fromkeys(name for one in measured["threads"].values() for name in one["texts"]["contenders"])
    heads = " | ".join(f"{n} thread{'' if n == '1' else 's'}" for n in counts)
    lines = [
        f"| tokens/s, and as a multiple of one thread's | {heads} |",
        f"|---|{'--:|' * len(counts)}",
    ]
    for name in names:
        found = [speed(measured, name, count) for count in counts]
        cells = ["–" if math.isnan(value) else f"{value:,.0f} ({value / found[0]:.2f})" for value in found]
        lines.append(f"| {LABELS[name]} | {' | '.join(cells)} |")
    lines += ["", f"| one query, ms | {heads} |", f"|---|{'--:|' * len(counts)}"]
    for name in names:
        found = [milliseconds(measured, name, count) for count in counts]
        lines.append(
            f"| {LABELS[name]} | {' | '.join('–' if math.isnan(value) else _two_digits(value) for value in found)} |"
        )
    return lines


def speed(measured: dict[str, Any], name: str, count: str) -> float:
    """A contender's tokens per second with a number of threads, or NaN."""
    part = measured["threads"][count]["texts"]
    seconds = part["contenders"].get(name, {}).get("seconds")
    return part["texts"]["tokens"] / _median(seconds) if seconds else math.nan


def milliseconds(measured: dict[str, Any], name: str, count: str) -> float:
    """The median time of a query with a number of threads, or NaN."""
    seconds = measured["threads"][count]["query"]["contenders"].get(name, {}).get("seconds")
    return 1e3 * _median(seconds) if seconds else math.nan


def tokenizing(measured: dict[str, Any]) -> Lines:
    """How many times as fast as the library tokenizing is, with the table of words and without it."""
    counts = sorted((key for key in measured if key.endswith(" threads")), key=lambda key: -int(key.split()[0]))
    heads = [f"{side}, {count}" for side in ("with the table", "without") for count in counts]
    heads = [head.replace(", 1 threads", ", 1 thread") for head in heads]
    lines = [f"| times as fast as the library | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for workload, title in TOKENIZING.items():
        cells = [
            _two_digits(measured[count][workload][f"{side} against the library"], least=2)
            for side in ("table", "without")
            for count in counts
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def load(result: dict[str, Any]) -> Lines:
    """What load.py measured: the milliseconds that half of the requests, 95 % and 99 % of them take, by their rate."""
    servers = {name: {point["offered"]: point for point in points} for name, points in result["servers"].items()}
    rates = sorted({rate for points in servers.values() for rate in points})
    lines = [f"| requests a second | {' | '.join(servers)} |", f"|--:|{'--:|' * len(servers)}"]
    for rate in rates:
        cells = [load_cell(points.get(rate)) for points in servers.values()]
        lines.append(f"| {rate:,} | {' | '.join(cells)} |")
    return lines


def load_cell(point: dict[str, Any] | None) -> str:
    """The median, 95 % and 99 % of a server's times at one rate."""
    if point is None:
        return "–"
    if point["p50_ms"] is None:
        return f"{point['refused']:,} refused"
    times = " / ".join(_two_digits(point[key]) for key in ("p50_ms", "p95_ms", "p99_ms"))
    return f"{times} ms, {point['refused']:,} refused" if point["refused"] else f"{times} ms"


def _only_model(result: dict[str, Any], workload: str) -> dict[str, Any]:
    """A workload of a run of run.py, or the figures of a program of its own."""
    if "models" not in result:
        return result
    (model_result,) = result["models"].values()
    return dict(model_result["workloads"][workload])


TABLES: dict[str, Callable[[dict[str, Any], Collection[str]], Lines]] = {
    "short": lambda result, without: texts(result, "short", without),
    "long": lambda result, without: texts(result, "long", without),
    "scaling": lambda result, _: scaling(_only_model(result, "scaling")),
    "tokenizing": lambda result, _: tokenizing(_only_model(result, "tokenizing")),
    "load": lambda result, _: load(result),
}
"""The tables that a page may ask for."""


def _median(rounds: list[list[float]]) -> float:
    return statistics.median(statistics.median(repeats) for repeats in rounds)


def _cosine(value: float) -> str:
    """With as many digits as tell it from 1; three if it is further away."""
    if value >= 1 - 5e-7:
        return "1"
    return f"{value:.6f}" if value >= 0.9999 else f"{value:.3f}"  # noqa: PLR2004  else three digits say enough


def _two_digits(value: float, least: int = 0) -> str:
    """A number with two significant digits, or whole. ``least`` is the digits after the point of numbers below 10."""
    if value >= 10:  # noqa: PLR2004  two digits
        return f"{value:,.0f}"
    digits = max(least, 1 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"
