"""Turns raw times into a Markdown table and plots: ``python benchmarks/report.py benchmarks/results/NAME.json``."""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import BASELINE

LABELS = {
    "sentence-transformers": "sentence-transformers",
    "fastembed": "fastembed",
    "openvino": "OpenVINO",
    "openvino-bfloat16": "OpenVINO, bfloat16",
    "openvino-int8": "OpenVINO, int8",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-int8": "ONNX Runtime, int8",
    "onnxruntime-advised-int8": "ONNX Runtime, int8 as sentence-transformers makes it",
    "ctranslate2": "CTranslate2",
    "ctranslate2-int8": "CTranslate2, int8",
    "llamacpp-float16": "llama.cpp, F16",
    "llamacpp-q8_0": "llama.cpp, Q8_0",
    "pellucid": "Pellucid",
    "pellucid-bfloat16": "Pellucid, bfloat16",
    "pellucid-int16": "Pellucid, int16",
    "pellucid-int8": "Pellucid, int8",
}
TITLES = {"short": "Short texts", "long": "Long texts"}


@dataclass(frozen=True)
class Row:
    """The figures of one contender on one workload.

    Attributes:
        ratios: the speed relative to the baseline's, in each round.
    """

    name: str
    tokens_per_second: float
    gflops: float
    ratios: tuple[float, ...]
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
        return suffix if suffix in {"int16", "int8", "bfloat16", "float16", "q8_0"} else "float32"


def rows(model_result: dict[str, Any], workload: str) -> list[Row]:
    """The rows of a workload, the slowest contender first."""
    measured = model_result["workloads"][workload]
    contenders, tokens = measured["contenders"], measured["texts"]["tokens"]
    table_rows = []
    for name, raw in contenders.items():
        seconds = [statistics.median(repeats) for repeats in raw["seconds"]]
        baseline = [statistics.median(repeats) for repeats in contenders.get(BASELINE, {}).get("seconds", [])]
        speed = tokens / statistics.median(seconds)
        table_rows.append(
            Row(
                name=name,
                tokens_per_second=speed,
                gflops=speed * model_result["products_per_token"] / 1e9,
                ratios=tuple(base / own for base, own in zip(baseline, seconds, strict=False)),
                cosine=raw.get("lowest_cosine"),
                rss_mb=raw["peak_rss_mb"],
                query_ms=_query_ms(model_result, name),
                cold_s=_cold_s(model_result, name),
            )
        )
    return sorted(table_rows, key=lambda row: row.tokens_per_second)


def ceilings(model_result: dict[str, Any], workload: str) -> dict[str, float]:
    """The machine's limits in GFLOP/s: of products in each dtype, and of bare multiply-adds. Medians of all rounds."""
    measured = [answer["peaks"] for answer in model_result["workloads"][workload]["peaks"] if "peaks" in answer]
    return {key: statistics.median(peaks[key] for peaks in measured) for key in (measured[0] if measured else {})}


def markdown(result: dict[str, Any]) -> str:
    """The whole result as a page of Markdown."""
    from result_tables import scaling, tokenizing

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
    for model, model_result in result["models"].items():
        for workload, title in TITLES.items():
            if workload in model_result["workloads"]:
                lines += ["", f"## {model}: {title.lower()}", "", *_table(model_result, workload)]
        lines += _growth(model_result)
        for workload, section in (("scaling", scaling), ("tokenizing", tokenizing)):
            if workload in model_result["workloads"]:
                lines += ["", f"## {model}: {workload}", "", *section(model_result["workloads"][workload])]
        lines += _missing(model_result)
    return "\n".join(lines) + "\n"


def write(result: dict[str, Any], json_file: Path) -> None:
    """Write the page and the plots next to the JSON file, with its name."""
    from plot import plot, plot_scaling

    page = markdown(result)
    json_file.with_suffix(".md").write_text(page)
    for model, model_result in result["models"].items():
        for workload in TITLES:
            if workload in model_result["workloads"]:
                file = json_file.with_name(f"{json_file.stem}-{model}-{workload}.png")
                plot(result, model, workload, file)
        if "scaling" in model_result["workloads"]:
            plot_scaling(result, model, json_file.with_name(f"{json_file.stem}-{model}-scaling.png"))
    print(page)


_PACKAGES = (
    *("sentence-transformers", "torch", "fastembed", "openvino", "nncf", "onnxruntime", "ctranslate2"),
    "llama_cpp_python",
)


def _table(model_result: dict[str, Any], workload: str) -> list[str]:
    text_stats = model_result["workloads"][workload]["texts"]
    lines = [
        f"{text_stats['count']:,} texts, {text_stats['mean_tokens']} tokens on average.",
        "",
        "| | tokens/s | effective GFLOP/s | times the baseline | lowest cosine | peak RSS | one query | cold start |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows(model_result, workload):
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
    if limits := ceilings(model_result, workload):
        parts = ", ".join(f"{_CEILINGS.get(key, key)} {value:,.0f}" for key, value in limits.items())
        lines += ["", f"The machine's limits in GFLOP/s, measured in the same rounds: {parts}."]
    return lines


_CEILINGS = {"multiply_add": "bare float32 multiply-adds", **{d: f"{d} products" for d in ("float32", "int16", "int8")}}


def _growth(model_result: dict[str, Any]) -> list[str]:
    measured = model_result["workloads"].get("growth")
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


def _missing(model_result: dict[str, Any]) -> list[str]:
    """A list of the contenders that the tables leave out, with the reasons, so that no omission goes unnoticed."""
    reasons = dict(model_result["not_converted"])
    for measured in model_result["workloads"].values():
        reasons |= measured["skipped"]
    if not reasons:
        return []
    return ["", "Left out:", "", *(f"- {LABELS[name]}: {reason}" for name, reason in reasons.items())]


def _query_ms(model_result: dict[str, Any], name: str) -> float | None:
    raw = model_result["workloads"].get("query", {}).get("contenders", {}).get(name)
    return None if raw is None else 1e3 * statistics.median(statistics.median(repeats) for repeats in raw["seconds"])


def _cold_s(model_result: dict[str, Any], name: str) -> float | None:
    times = model_result["workloads"].get("cold", {}).get("contenders", {}).get(name)
    return None if times is None else statistics.median(start["first_vector"] for start in times)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    write(json.loads(path.read_text()), path)
