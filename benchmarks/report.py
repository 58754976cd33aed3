"""From raw times to a table in Markdown and a plot: ``python benchmarks/report.py benchmarks/results/NAME.json``."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import BASELINE

LABELS = {
    "sentence-transformers": "sentence-transformers (PyTorch)",
    "fastembed": "fastembed",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-int8": "ONNX Runtime int8",
    "ctranslate2": "CTranslate2",
    "ctranslate2-int8": "CTranslate2 int8",
    "pellucid": "Pellucid",
    "pellucid-int16": "Pellucid int16",
    "pellucid-int8": "Pellucid int8",
}
TITLES = {"short": "Short texts", "long": "Long texts"}


@dataclass(frozen=True)
class Row:
    """What one contender did on one workload."""

    name: str
    tokens_per_second: float
    gflops: float
    ratios: tuple[float, ...]
    """To the baseline, in each round."""
    cosine: float | None
    rss_mb: float
    query_ms: float | None
    cold_s: float | None

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def dtype(self) -> str:
        suffix = self.name.rpartition("-")[2]
        return suffix if suffix in {"int16", "int8"} else "float32"


def rows(of_model: dict[str, Any], workload: str) -> list[Row]:
    """The slowest first."""
    measured = of_model["workloads"][workload]
    contenders, tokens = measured["contenders"], measured["texts"]["tokens"]
    found = []
    for name, raw in contenders.items():
        seconds = [statistics.median(repeats) for repeats in raw["seconds"]]
        baseline = [statistics.median(repeats) for repeats in contenders.get(BASELINE, {}).get("seconds", [])]
        speed = tokens / statistics.median(seconds)
        found.append(
            Row(
                name=name,
                tokens_per_second=speed,
                gflops=speed * of_model["products_per_token"] / 1e9,
                ratios=tuple(theirs / own for theirs, own in zip(baseline, seconds, strict=False)),
                cosine=raw.get("lowest_cosine"),
                rss_mb=raw["peak_rss_mb"],
                query_ms=_query_ms(of_model, name),
                cold_s=_cold_s(of_model, name),
            )
        )
    return sorted(found, key=lambda row: row.tokens_per_second)


def ceilings(of_model: dict[str, Any], workload: str) -> dict[str, float]:
    """GFLOP/s of the arithmetic alone, by dtype, and of bare multiply-adds: the median of all rounds."""
    measured = [answer["peaks"] for answer in of_model["workloads"][workload]["peaks"] if "peaks" in answer]
    return {key: statistics.median(peaks[key] for peaks in measured) for key in (measured[0] if measured else {})}


def markdown(result: dict[str, Any]) -> str:
    """The whole result as one page."""
    where, packages = result["machine"], result["packages"]
    lines = [
        f"# {result['date'][:10]}, {where['cpu']}, {result['options']['threads']} threads",
        "",
        f"{where['cores']} cores ({', '.join(where['flags'])}), {where['memory_gb']} GB, {where['kernel']}. "
        f"Python {packages['peers']['python']}. Pellucid {result['commit']}. "
        f"{result['options']['rounds']} rounds, medians; in brackets the lowest and highest round.",
        "",
        ", ".join(f"{name} {packages['peers'][name]}" for name in _PACKAGES if name in packages["peers"]) + ".",
    ]
    for model, of_model in result["models"].items():
        for workload, title in TITLES.items():
            if workload in of_model["workloads"]:
                lines += ["", f"## {model}: {title.lower()}", "", *_table(of_model, workload)]
        lines += _growth(of_model)
        lines += _missing(of_model)
    return "\n".join(lines) + "\n"


def write(result: dict[str, Any], json_file: Path) -> None:
    """The page and the plots, beside the JSON file and named after it."""
    from plot import plot

    page = markdown(result)
    json_file.with_suffix(".md").write_text(page)
    for model, of_model in result["models"].items():
        for workload in TITLES:
            if workload in of_model["workloads"]:
                file = json_file.with_name(f"{json_file.stem}-{model}-{workload}.png")
                plot(result, model, workload, file)
    print(page)


_PACKAGES = ("sentence-transformers", "torch", "fastembed", "openvino", "onnxruntime", "ctranslate2")


def _table(of_model: dict[str, Any], workload: str) -> list[str]:
    described = of_model["workloads"][workload]["texts"]
    lines = [
        f"{described['count']:,} texts, {described['mean_tokens']} tokens on average.",
        "",
        "| | tokens/s | effective GFLOP/s | times the baseline | lowest cosine | peak RSS | one query | cold start |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows(of_model, workload):
        ratio = "–"
        if row.ratios:
            ratio = f"**{row.ratio:.2f}** ({min(row.ratios):.2f}–{max(row.ratios):.2f})"
        cells = (
            LABELS[row.name],
            f"{row.tokens_per_second:,.0f}",
            f"{row.gflops:,.0f}",
            ratio,
            "–" if row.cosine is None else f"{min(row.cosine, 1):.6f}",
            f"{row.rss_mb:,.0f} MB",
            "–" if row.query_ms is None else f"{row.query_ms:.2f} ms",
            "–" if row.cold_s is None else f"{row.cold_s:.2f} s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    if tops := ceilings(of_model, workload):
        parts = ", ".join(f"{_CEILINGS.get(key, key)} {value:,.0f}" for key, value in tops.items())
        lines += ["", f"What the machine can do, measured in the same rounds, in GFLOP/s: {parts}."]
    return lines


_CEILINGS = {"multiply_add": "bare float32 multiply-adds", **{d: f"{d} products" for d in ("float32", "int16", "int8")}}


def _growth(of_model: dict[str, Any]) -> list[str]:
    measured = of_model["workloads"].get("growth")
    if measured is None or not measured["contenders"]:
        return []
    lines = [
        "",
        "### Growth",
        "",
        "| | texts | seconds | tokens/s | peak RSS before | peak RSS |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, sizes in measured["contenders"].items():
        for n, answer in sizes.items():
            seconds = answer["seconds"][0]
            speed = measured["texts"][n]["tokens"] / seconds
            memory = f"{answer['rss_before_mb']:,.0f} MB | {answer['rss_mb']:,.0f} MB"
            lines.append(f"| {LABELS[name]} | {int(n):,} | {seconds:.2f} | {speed:,.0f} | {memory} |")
    return lines


def _missing(of_model: dict[str, Any]) -> list[str]:
    """Who is absent, and why: a table that leaves someone out must say so."""
    reasons = dict(of_model["not_converted"])
    for measured in of_model["workloads"].values():
        reasons |= measured["skipped"]
    return ["", "Without:", "", *(f"- {LABELS[name]}: {reason}" for name, reason in reasons.items())] if reasons else []


def _query_ms(of_model: dict[str, Any], name: str) -> float | None:
    raw = of_model["workloads"].get("query", {}).get("contenders", {}).get(name)
    return None if raw is None else 1e3 * statistics.median(statistics.median(repeats) for repeats in raw["seconds"])


def _cold_s(of_model: dict[str, Any], name: str) -> float | None:
    times = of_model["workloads"].get("cold", {}).get("contenders", {}).get(name)
    return None if times is None else statistics.median(each["first_vector"] for each in times)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    write(json.loads(path.read_text()), path)
