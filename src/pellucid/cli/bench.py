"""``pellucid bench``: how fast a model runs on this machine, and which kernels were chosen for it."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pellucid.cli import options
from pellucid.cli.interruption import when_interrupted
from pellucid.errors import plural

_QUERY_RUNS = 50
_DOCUMENT_RUNS = 3


def bench(
    model: options.ModelOption = options.DEFAULT_MODEL,
    dtype: options.BenchDtypesOption = None,
    threads: options.ThreadsOption = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Only show the instruction set and the peak speed of this machine.")
    ] = False,
    json: options.ReportJsonOption = False,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Measure the speed of a model on this machine."""
    from pellucid.embedder import Embedder
    from pellucid.engines import native, registry
    from pellucid.engines.dtypes import NATIVE_DTYPES
    from pellucid.engines.threads import usable_processors
    from pellucid.measuring.texts import QUERY, paragraphs

    registry.check_options("native", dtype="float32", device="cpu", threads=threads)
    instruction_set, thread_count = native.instruction_set(), threads or usable_processors()
    machine = {"instruction_set": instruction_set, "threads": thread_count}
    if cpu:
        peaks, available = native.peaks(thread_count), native.supported_instruction_sets()
        if json:
            typer.echo(json_module.dumps({**machine, "available": available, "peak_gflops": peaks}))
            return
        typer.echo(f"instruction set  {instruction_set}")
        typer.echo(f"available        {', '.join(available)}; set {native.CPU_VARIABLE} to choose")
        typer.echo(f"threads          {thread_count}")
        typer.echo(f"peak, GFLOP/s    {peaks['multiply_add']:.0f} in float32 multiply-adds; in matrix products")
        typer.echo("                 " + ", ".join(f"{peaks[name]:.0f} in {name}" for name in NATIVE_DTYPES))
        return
    texts = paragraphs()
    if not json:
        typer.echo(f"{plural(len(texts), 'text')}, {plural(thread_count, 'thread')}, {instruction_set}\n")
        typer.echo(f"{'dtype':8}  {'loading':>9}  {'one query':>9}  {'texts/s':>9}  {'tokens/s':>9}")
    measurements: list[dict[str, Any]] = []
    with when_interrupted(lambda: "The rows above are complete." if measurements and not json else ""):
        for name in dtype or NATIVE_DTYPES:
            start = time.perf_counter()
            embedder = Embedder(
                model,
                dtype=name,
                threads=threads,
                revision=revision,
                cache_folder=cache_folder,
                local_files_only=local_files_only,
                on_truncation="cut",
            )
            loading = time.perf_counter() - start
            tokens = int(embedder.count_tokens(texts).clip(max=embedder.max_tokens).sum())
            query = _median_seconds(lambda e=embedder: e.embed_query(QUERY), _QUERY_RUNS)  # type: ignore[misc]
            seconds = _median_seconds(lambda e=embedder: e.embed_documents(texts), _DOCUMENT_RUNS)  # type: ignore[misc]
            speeds = {"texts_per_second": len(texts) / seconds, "tokens_per_second": tokens / seconds}
            measurements.append({"dtype": name, "loading_seconds": loading, "query_seconds": query, **speeds})
            if not json:
                typer.echo(
                    f"{name:8}  {loading:7.2f} s  {query * 1000:6.2f} ms  "
                    f"{speeds['texts_per_second']:9,.0f}  {speeds['tokens_per_second']:9,.0f}"
                )
    if json:
        report = {"model": model, "texts": len(texts), **machine, "measurements": measurements}
        typer.echo(json_module.dumps(report, indent=1))


def _median_seconds(work: Callable[[], object], runs: int) -> float:
    """The median duration of ``work`` in seconds, after a first run that does not count."""
    import statistics

    seconds = []
    for _ in range(1 + runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])
